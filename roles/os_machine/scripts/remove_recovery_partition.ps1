# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Turns off WinRE, removes the recovery partitions behind drive C, and extends drive C to the free space.
# reagentc moves Winre.wim to C:\Windows\System32\Recovery, so that WinRE can be turned on again.
[CmdletBinding(SupportsShouldProcess)]
param ()

$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$windows = Get-Partition -DriveLetter $env:SystemDrive[0]
$recovery = @($windows | Get-Disk | Get-Partition | Where-Object {
        $_.Offset -gt $windows.Offset -and ($_.GptType -eq '{de94bba4-06d1-4d40-a16a-bfd50179d6ac}' -or $_.MbrType -eq 39)
    })
if ($recovery.Count -gt 0) {
    $Ansible.Changed = $true
    if ($PSCmdlet.ShouldProcess("partition $($recovery.PartitionNumber -join ', ')", 'Remove the recovery partition')) {
        # It fails if WinRE is off already, which this file shows with the state 0. Without the file, WinRE was never on.
        [xml] $agent = Get-Content -LiteralPath "$env:SystemRoot\System32\Recovery\ReAgent.xml" -ErrorAction SilentlyContinue
        if ($null -ne $agent -and $agent.WindowsRE.InstallState.state -ne '0') {
            $output = & "$env:SystemRoot\System32\reagentc.exe" /disable 2>&1
            if ($LASTEXITCODE -ne 0) {
                throw "reagentc /disable failed with exit code ${LASTEXITCODE}: $output"
            }
        }
        foreach ($partition in $recovery) {
            Remove-Partition -InputObject $partition -Confirm:$false
        }
        $largest = (Get-PartitionSupportedSize -DriveLetter $windows.DriveLetter).SizeMax
        if ($largest -gt $windows.Size) {
            Resize-Partition -DriveLetter $windows.DriveLetter -Size $largest
        }
    }
}
