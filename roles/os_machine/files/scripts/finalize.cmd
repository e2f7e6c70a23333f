@echo off
rem Shuts down Windows to capture it as a layer, unless a check fails. Part of strata.layering; see its docs/scripts.md.
rem   finalize.cmd          checks, then shuts down
rem   finalize.cmd /check   checks only
rem   finalize.cmd /force   checks, then shuts down in any case
rem The exit code is 0, or the sum of the failed checks: 2 reboot, 4 installer, 16 run_once, 32 windows_upgrade, 64 ngen_needed, 128 no_done_markers,
rem 256 domain_joined, 512 sysprep_state, 1024 pending_renames.
setlocal EnableExtensions DisableDelayedExpansion
set "STRATA_REG=%SystemRoot%\System32\reg.exe"
set "STRATA_FIND=%SystemRoot%\System32\find.exe"
set "STRATA_WINDOWS=HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion"
set "STRATA_WINDOWS32=HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion"
set "STRATA_FULL=HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion"
set "STRATA_FULL32=HKEY_LOCAL_MACHINE\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion"
set "STRATA_NGEN=HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\.NETFramework\NGenQueue"
set "STRATA_ACTION=shutdown"
if /i "%~1"=="/force" set "STRATA_ACTION=force"
if /i "%~1"=="/check" set "STRATA_ACTION=check"
if not "%~1"=="" if "%STRATA_ACTION%"=="shutdown" (
  echo Usage: finalize.cmd [/check ^| /force]
  exit /b 1
)
set "STRATA_FOUND=0"

set "STRATA_SIGNS="
call :key "%STRATA_WINDOWS%\Component Based Servicing\RebootPending"
call :key "%STRATA_WINDOWS%\Component Based Servicing\RebootInProgress"
call :key "%STRATA_WINDOWS%\Component Based Servicing\PackagesPending"
call :key "%STRATA_WINDOWS%\WindowsUpdate\Auto Update\RebootRequired"
call :value "HKLM\SYSTEM\CurrentControlSet\Services\Netlogon" JoinDomain
call :value "HKLM\SYSTEM\CurrentControlSet\Services\Netlogon" AvoidSpnSet
if exist "%SystemRoot%\WinSxS\pending.xml" set "STRATA_SIGNS=%STRATA_SIGNS% pending.xml"
if defined STRATA_SIGNS call :finding 2 reboot "a restart is pending" "Restart, then run finalize.cmd again."

set "STRATA_SIGNS="
call :key "%STRATA_WINDOWS%\Installer\InProgress"
call :key "%STRATA_WINDOWS32%\Installer\InProgress"
if exist "%SystemRoot%\Installer\inprogressinstallinfo.ipi" set "STRATA_SIGNS=%STRATA_SIGNS% inprogressinstallinfo.ipi"
if defined STRATA_SIGNS call :finding 4 installer "an MSI installation is in progress" "Wait until it has ended, or restart, then run finalize.cmd again."

set "STRATA_SIGNS="
call :values "%STRATA_WINDOWS%\RunOnce"
call :values "%STRATA_WINDOWS32%\RunOnce"
call :values "%STRATA_WINDOWS%\RunOnceEx"
call :values "%STRATA_WINDOWS32%\RunOnceEx"
call :subkeys "%STRATA_FULL%\RunOnceEx"
call :subkeys "%STRATA_FULL32%\RunOnceEx"
if defined STRATA_SIGNS call :finding 16 run_once "RunOnce entries are outstanding" "Log on once as an administrator to run them."

set "STRATA_SIGNS="
call :flag "HKLM\SYSTEM\Setup" SystemSetupInProgress
call :flag "HKLM\SYSTEM\Setup" OOBEInProgress
call :flag "HKLM\SYSTEM\Setup" UpgradeInProgress
set "STRATA_BT=%SystemDrive%\$WINDOWS.~BT"
if exist "%STRATA_BT%\NewOS" set "STRATA_SIGNS=%STRATA_SIGNS% $WINDOWS.~BT"
if exist "%STRATA_BT%\Sources\SetupHost.exe" if not exist "%STRATA_BT%\NewOS" set "STRATA_SIGNS=%STRATA_SIGNS% $WINDOWS.~BT"
if defined STRATA_SIGNS call :finding 32 windows_upgrade "Windows is being set up or upgraded" "Wait until it has ended, or remove $WINDOWS.~BT with Disk Cleanup."

set "STRATA_SIGNS="
call :subkeys "%STRATA_NGEN%\WIN32\Default"
call :subkeys "%STRATA_NGEN%\WIN64\Default"
set "STRATA_DO=Run ngen executequeueditems of Framework and Framework64 v4.0.30319."
if defined STRATA_SIGNS call :finding 64 ngen_needed ".NET assemblies are not compiled yet" "%STRATA_DO%"

set "STRATA_SIGNS="
if exist "%SystemRoot%\Setup\scripts\kmsdir\*_done" set "STRATA_SIGNS= kmsdir"
if defined STRATA_SIGNS call :finding 128 no_done_markers "kmssetup.cmd has run in this VM" "Delete the *_done files in %SystemRoot%\Setup\scripts\kmsdir."

rem The name of the domain is also the DNS suffix of a computer that is not joined; Netlogon starts on demand (0x3) then.
set "STRATA_SIGNS="
set "STRATA_DOMAIN="
set "STRATA_KEY=HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
for /f "tokens=1,2,*" %%a in ('%STRATA_REG% query %STRATA_KEY% /v Domain 2^>nul') do if /i "%%a"=="Domain" set "STRATA_DOMAIN=%%c"
set "STRATA_KEY=HKLM\SYSTEM\CurrentControlSet\Services\Netlogon"
for /f "tokens=1,2,*" %%a in ('%STRATA_REG% query %STRATA_KEY% /v Start 2^>nul') do if /i "%%c"=="0x3" set "STRATA_DOMAIN="
if defined STRATA_DOMAIN set "STRATA_SIGNS= %STRATA_DOMAIN%"
call :subkeys "HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\CloudDomainJoin\JoinInfo"
if defined STRATA_SIGNS call :finding 256 domain_joined "Windows is joined to a domain" "Leave the domain and restart. Horizon joins its clones."

set "STRATA_SIGNS="
call :number "HKLM\SYSTEM\Setup\Status\SysprepStatus" GeneralizationState 0x7
call :number "HKLM\SYSTEM\Setup\Status\SysprepStatus" CleanupState 0x2
if defined STRATA_SIGNS call :finding 512 sysprep_state "Sysprep was run" "Create the packaging machine again and do not run Sysprep in it."

rem The mark ! precedes a file that is replaced. Files that are only deleted have an empty target.
set "STRATA_SIGNS="
call :replaced PendingFileRenameOperations
call :replaced PendingFileRenameOperations2
if defined STRATA_SIGNS call :finding 1024 pending_renames "a restart would replace files" "Restart, then run finalize.cmd again."

if "%STRATA_FOUND%"=="0" echo All checks passed.
if "%STRATA_ACTION%"=="check" exit /b %STRATA_FOUND%
if "%STRATA_ACTION%"=="shutdown" if not "%STRATA_FOUND%"=="0" exit /b %STRATA_FOUND%
"%SystemRoot%\System32\shutdown.exe" /s /t 0
if errorlevel 1 (
  echo Windows cannot be shut down. Run finalize.cmd as an administrator.
  exit /b 1
)
echo The operation completed successfully: Windows is shutting down.
exit /b 0

rem :finding BIT NAME FINDING ACTION - report a failed check
:finding
set /a STRATA_FOUND+=%1 >nul
echo %2: %~3 (%STRATA_SIGNS:~1%). %~4
exit /b 0

rem :key KEY - add a sign if the key exists
:key
"%STRATA_REG%" query %1 >nul 2>&1
if not errorlevel 1 call :sign %1
exit /b 0

rem :value KEY NAME - add a sign if the value exists
:value
"%STRATA_REG%" query %1 /v %2 >nul 2>&1
if not errorlevel 1 set "STRATA_SIGNS=%STRATA_SIGNS% %2"
exit /b 0

rem :values KEY - add a sign if the key has values
:values
"%STRATA_REG%" query %1 2>nul | "%STRATA_FIND%" "REG_" >nul
if not errorlevel 1 call :sign %1
exit /b 0

rem :flag KEY NAME - add a sign if the value is 1
:flag
"%STRATA_REG%" query %1 /v %2 2>nul | "%STRATA_FIND%" "0x1" >nul
if not errorlevel 1 set "STRATA_SIGNS=%STRATA_SIGNS% %2"
exit /b 0

rem :number KEY NAME NORMAL - add a sign if the number of the value is neither normal nor 0
:number
for /f "tokens=1,2,*" %%a in ('%STRATA_REG% query %1 /v %2 2^>nul') do if /i "%%a"=="%2" if not "%%c"=="%3" if not "%%c"=="0x0" set "STRATA_SIGNS=%STRATA_SIGNS% %2"
exit /b 0

rem :replaced NAME - add a sign if this list of renames replaces a file
:replaced
"%STRATA_REG%" query "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager" /v %1 2>nul | "%STRATA_FIND%" "\0!" >nul
if not errorlevel 1 set "STRATA_SIGNS=%STRATA_SIGNS% %1"
exit /b 0

rem :subkeys KEY - add a sign if the key has subkeys
:subkeys
for /f "delims=" %%k in ('%STRATA_REG% query %1 2^>nul') do call :below %1 "%%k"
exit /b 0

rem :below KEY LINE - add a sign if this output line of reg.exe names a subkey
:below
set "STRATA_LINE=%~2"
if not "%STRATA_LINE:~0,5%"=="HKEY_" exit /b 0
if /i not "%STRATA_LINE%"=="%~1" call :sign %1
exit /b 0

rem :sign KEY - add the last part of the key to the signs
:sign
set "STRATA_SIGNS=%STRATA_SIGNS% %~nx1"
exit /b 0
