# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Deletes the shadow copies of all volumes, which are also the restore points of System Protection.
# vssadmin of client editions refuses some of them, so that the class is used.
[CmdletBinding(SupportsShouldProcess)]
param ()

$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

foreach ($copy in @(Get-CimInstance -ClassName Win32_ShadowCopy)) {
    $Ansible.Changed = $true
    if ($PSCmdlet.ShouldProcess($copy.ID, 'Delete the shadow copy')) {
        Remove-CimInstance -InputObject $copy
    }
}
