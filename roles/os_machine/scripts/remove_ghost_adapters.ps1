# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Removes the devices of network adapters that are not present: those of earlier VMs with this disk. Every VM has another adapter for Windows,
# because Windows identifies VMXNET3 adapters by their MAC address (known from instance IDs; no documentation says it).
# pnputil can remove devices since Windows 10 version 2004 and Windows Server 2022; before, they remain (Microsoft Learn, "PnPUtil Command Syntax").
[CmdletBinding(SupportsShouldProcess)]
param ()

$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$devices = @(Get-PnpDevice -Class Net -ErrorAction SilentlyContinue | Where-Object { -not $_.Present -and $_.InstanceId -like 'PCI\VEN_*' })
foreach ($device in $devices) {
    if ($PSCmdlet.ShouldProcess($device.InstanceId, 'Remove the device')) {
        $null = & "$env:SystemRoot\System32\pnputil.exe" /remove-device $device.InstanceId
        if ($LASTEXITCODE -in 0, 3010) {
            $Ansible.Changed = $true
        }
    }
}
