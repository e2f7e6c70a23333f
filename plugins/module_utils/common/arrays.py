# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Type aliases for numpy arrays.

They are only for annotations: at run time each alias is ``Any``, because numpy may be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    U8 = NDArray[numpy.uint8]
    U16 = NDArray[numpy.uint16]
    U32 = NDArray[numpy.uint32]
    U64 = NDArray[numpy.uint64]
    I64 = NDArray[numpy.int64]
    #: Array indexes: the results of nonzero, argsort and searchsorted.
    Indexes = NDArray[numpy.intp]
    Mask = NDArray[numpy.bool_]
else:
    U8 = U16 = U32 = U64 = I64 = Indexes = Mask = Any
