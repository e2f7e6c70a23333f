# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the connection to an OCI registry, of other remotes, and of signatures."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  registry:
    description:
      - The OCI registry, as C(HOST[:PORT]/PREFIX), such as V(registry.example.com/windows). All repositories in the registry begin with the
        prefix. Many registries need a project or namespace as the first part of the prefix, which must exist.
      - Do not set it in C(module_defaults) of the group C(strata.layering.layering), because other modules have a different option of this name.
    type: str
  registry_username:
    description:
      - The user for the registry.
      - If not set, the environment variable E(REGISTRY_USERNAME) is used, then O(registry_auth_file).
    type: str
  registry_password:
    description:
      - The password, or an access token, of O(registry_username). It is never stored.
      - If not set, the environment variable E(REGISTRY_PASSWORD) is used.
    type: str
  registry_auth_file:
    description:
      - A file with credentials in the format of podman and docker, as C(podman login) and C(docker login) write it. Its credential helpers are
        started on the composer.
      - If not set, the environment variable E(REGISTRY_AUTH_FILE) is used, then the files of podman and docker of the user who runs the module.
    type: path
  validate_certs:
    description:
      - Whether to check the certificate of the registry.
      - If not set, the environment variable E(REGISTRY_VALIDATE_CERTS) is used.
    type: bool
    default: true
  ca_path:
    description:
      - A file of trusted certificates in PEM format, in addition to the certificates of the system.
      - If not set, the environment variable E(REGISTRY_CA_PATH) is used.
    type: path
  plain_http:
    description:
      - Whether to connect without TLS. Content and credentials can then be read and changed in the network.
      - If not set, the environment variable E(REGISTRY_PLAIN_HTTP) is used.
    type: bool
    default: false
  proxy:
    description:
      - The URL of an HTTP proxy, such as V(http://proxy.example.com:3128).
      - If not set, the environment variable E(REGISTRY_PROXY) is used, then E(HTTPS_PROXY) and E(NO_PROXY).
    type: str
  chunk_size_mb:
    description:
      - The size in MiB of the requests in which large files are uploaded. An interrupted upload resumes after the last complete request.
      - If not set, requests begin with 64 MiB and grow up to 1024 MiB while each of them takes less than 10 seconds. After a failure they
        have at most 64 MiB.
      - Set a small value if a reverse proxy in front of the registry limits the size or the time of a request.
    type: int
requirements:
  - requests
"""

    REMOTE = r"""
options:
  file_share:
    description:
      - A folder of the composer, or C(//server/share/path), that contains or will contain an OCI image layout. It is used instead of a registry.
      - A push creates the folder if it does not exist. It must be empty, or have been written by an earlier push or by a tool for OCI image layouts.
    type: path
  other_repository:
    description:
      - The folder of a different repository of this collection, on a local disk or a mounted share of the composer.
    type: path
  file:
    description:
      - An archive file on the composer, for sites without a network connection. It is a tar file with an OCI image layout.
    type: path
  flat:
    description:
      - Whether all layers and templates are tags of a single repository in the registry, whose name is the prefix. Use it for registries that do
        not create repositories when something is pushed, or that do not allow slashes in names.
      - All composers that use the registry need the same value.
    type: bool
    default: false
"""

    VERIFICATION = r"""
options:
  verify_keys:
    description:
      - Public keys in PEM format. Each element is a file on the composer or the text of a key. A signature is valid if one of these keys made it.
      - If not set, the environment variable E(STRATA_VERIFY_KEYS) is used, which separates files by commas.
    type: list
    elements: str
  signatures:
    description:
      - With V(required), a layer version or template without a valid signature is refused.
      - With V(optional), it is accepted with a warning if it has no signature by one of O(verify_keys).
      - If not given, V(required) with O(verify_keys), and otherwise V(optional).
      - The content of another repository folder cannot be verified (C(other_repository) of M(strata.layering.layer_transfer)),
        and is refused with V(required).
    type: str
    choices: [required, optional]
"""

    SIGNING = r"""
options:
  sign_key:
    description:
      - A file with a private key (ECDSA P-256) in PEM format, on the composer. What a push transfers is signed with this key, also if it is
        already there without a signature by this key. C(cosign verify --key) accepts the signatures.
      - The text of a private key is refused, because this option is logged.
      - If not set, the environment variable E(STRATA_SIGN_KEY) is used.
    type: path
  sign_key_content:
    description:
      - The text of the private key, instead of the file O(sign_key). It is never stored.
      - If not set, the environment variable E(STRATA_SIGN_KEY_CONTENT) is used, or the text of a key in E(STRATA_SIGN_KEY).
    type: str
  sign_key_passphrase:
    description:
      - The passphrase of an encrypted private key. It is never stored.
      - If not set, the environment variable E(STRATA_SIGN_KEY_PASSPHRASE) is used.
    type: str
"""
