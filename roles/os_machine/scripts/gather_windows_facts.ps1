# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Returns facts of Windows and changes nothing.
#   Registry   path and name of registry values; an empty name means the key itself, * means the names of its values
#   Tasks      path and name pattern of scheduled tasks
#   Files      paths; the last part may be a pattern
param (
    [object[]] $Registry = @(),
    [object[]] $Tasks = @(),
    [string[]] $Files = @()
)

$ErrorActionPreference = 'Stop'

function Get-RegistryState {
    param ($Entry)

    $state = @{ path = $Entry.path; name = $Entry.name; exists = $false; key = $false; data = $null }
    $key = Get-Item -LiteralPath $Entry.path -ErrorAction SilentlyContinue
    if ($null -eq $key) {
        return $state
    }
    $state.key = $true
    if ($Entry.name -eq '*') {
        $state.data = @($key.GetValueNames() | Where-Object { $_ -ne '' })
        $state.exists = $state.data.Count -gt 0
    }
    elseif (-not $Entry.name) {
        $state.exists = $true
    }
    elseif ($key.GetValueNames() -contains $Entry.name) {
        $state.exists = $true
        $state.data = $key.GetValue($Entry.name, $null, 'DoNotExpandEnvironmentNames')
    }
    return $state
}

function Get-AdapterState {
    $configurations = @{}
    foreach ($configuration in Get-CimInstance -ClassName Win32_NetworkAdapterConfiguration) {
        $configurations[[int] $configuration.Index] = $configuration
    }
    foreach ($adapter in Get-CimInstance -ClassName Win32_NetworkAdapter -Filter 'PhysicalAdapter = TRUE') {
        $configuration = $configurations[[int] $adapter.Index]
        @{
            name = $adapter.Name
            service = $adapter.ServiceName
            connected = $adapter.NetConnectionStatus -eq 2
            dhcp = [bool] $configuration.DHCPEnabled
            lease = $null -ne $configuration.DHCPLeaseObtained
            addresses = @($configuration.IPAddress | Where-Object { $_ })
        }
    }
}

# 0 means that the volume is not encrypted. Without BitLocker the class does not exist.
function Get-EncryptionState {
    try {
        $volume = Get-CimInstance -Namespace root/cimv2/Security/MicrosoftVolumeEncryption -ClassName Win32_EncryptableVolume `
            -Filter "DriveLetter = '$env:SystemDrive'"
        return [int] ($volume | Invoke-CimMethod -MethodName GetConversionStatus).ConversionStatus
    }
    catch {
        return 0
    }
}

# The service of Windows Installer (msiexec /V) continues to run for some time after an installation: it is ignored.
function Get-InstallerProcess {
    $names = 'msiexec', 'TiWorker', 'TrustedInstaller', 'MoUsoCoreWorker', 'setup', 'setuphost'
    $filter = ($names | ForEach-Object { "Name = '$_.exe'" }) -join ' OR '
    Get-CimInstance -ClassName Win32_Process -Filter $filter |
        Where-Object { $_.Name -ne 'msiexec.exe' -or $_.CommandLine -notmatch '/V\s*$' } |
        ForEach-Object Name |
        Sort-Object -Unique
}

function Get-UnprovisionedApp {
    try {
        $provisioned = @(Get-AppxProvisionedPackage -Online | ForEach-Object DisplayName)
        Get-AppxPackage -AllUsers |
            Where-Object { -not $_.IsFramework -and $_.SignatureKind -eq 'Store' -and $provisioned -notcontains $_.Name } |
            ForEach-Object Name
    }
    catch {
        return
    }
}

$system = Get-CimInstance -ClassName Win32_ComputerSystem
$drive = Get-CimInstance -ClassName Win32_LogicalDisk -Filter "DeviceID = '$env:SystemDrive'"
$tools = Get-Service -Name VMTools -ErrorAction SilentlyContinue
$windows = Get-Partition -DriveLetter $env:SystemDrive[0]
$partitions = @($windows | Get-Disk | Get-Partition)
$foreignDevices = @(Get-PnpDevice -Class Net -ErrorAction SilentlyContinue | Where-Object { -not $_.Present -and $_.InstanceId -like 'PCI\VEN_*' })

$Ansible.Result = @{
    registry = @(foreach ($entry in $Registry) { Get-RegistryState -Entry $entry })
    tasks = @(foreach ($entry in $Tasks) {
            Get-ScheduledTask -TaskPath $entry.path -TaskName $entry.name -ErrorAction SilentlyContinue | ForEach-Object {
                @{ path = $_.TaskPath; name = $_.TaskName; enabled = [string] $_.State -ne 'Disabled' }
            }
        })
    files = @(foreach ($file in $Files) {
            Get-ChildItem -Force -Path (Split-Path -Path $file -Parent) -Filter (Split-Path -Path $file -Leaf) -ErrorAction SilentlyContinue |
                ForEach-Object FullName
        })
    adapters = @(Get-AdapterState)
    ghost_adapters = @($foreignDevices | ForEach-Object { [string] $_.FriendlyName })
    tools = @{ installed = $null -ne $tools; running = $null -ne $tools -and [string] $tools.Status -eq 'Running' }
    domain = @{ joined = [bool] $system.PartOfDomain; name = $system.Domain }
    pagefile = @{
        automatic = [bool] $system.AutomaticManagedPagefile
        files = @(Get-CimInstance -ClassName Win32_PageFileSetting | ForEach-Object {
                @{ name = $_.Name; initial_mb = [int] $_.InitialSize; maximum_mb = [int] $_.MaximumSize }
            })
    }
    encryption = Get-EncryptionState
    profiles = @(Get-CimInstance -ClassName Win32_UserProfile -Filter 'Special = FALSE' | Where-Object { $_.SID -notlike '*-500' } | ForEach-Object LocalPath)
    processes = @(Get-InstallerProcess)
    free_gb = [math]::Round($drive.FreeSpace / 1gb, 1)
    recovery_partitions = @($partitions | Where-Object {
            $_.Offset -gt $windows.Offset -and ($_.GptType -eq '{de94bba4-06d1-4d40-a16a-bfd50179d6ac}' -or $_.MbrType -eq 39)
        }).Count
    shadow_copies = @(Get-CimInstance -ClassName Win32_ShadowCopy -ErrorAction SilentlyContinue).Count
    hotfixes = @(Get-CimInstance -ClassName Win32_QuickFixEngineering | ForEach-Object HotFixID)
    unprovisioned_apps = @(Get-UnprovisionedApp)
    upgraded = @(Get-ChildItem -LiteralPath HKLM:\SYSTEM\Setup | Where-Object { $_.PSChildName -like 'Source OS*' }).Count -gt 0
}
$Ansible.Changed = $false
