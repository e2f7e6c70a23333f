@echo off
rem Waits until Windows is ready, at most for a given time. Called by run-scripts.cmd; part of strata.layering, see its docs/scripts.md.
rem   wait.cmd setup SECONDS           until Windows Setup has ended, including its passes after Sysprep
rem   wait.cmd servicing SECONDS       until the image of Windows is complete and no update is being installed
rem   wait.cmd servicing SECONDS end   until no update is being installed
rem   wait.cmd devices SECONDS         until no device is being installed
rem   wait.cmd network SECONDS         until there is a default gateway and, on a member of a domain, Netlogon runs
rem The exit code is 0 ready, 1 the time is over, 2 there is no network adapter, 3 the state cannot be determined.
setlocal EnableExtensions DisableDelayedExpansion
set "STRATA_SYSTEM=%SystemRoot%\System32"
set "STRATA_WHAT="
for %%w in (setup servicing devices network) do if "%~1"=="%%w" set "STRATA_WHAT=%%w"
if not defined STRATA_WHAT (
  echo Usage: wait.cmd setup ^| servicing ^| devices ^| network SECONDS
  exit /b 9
)
set "STRATA_LIMIT=%~2"
set "STRATA_LEFT=%~2"
set "STRATA_PHASE=%~3"
if "%STRATA_WHAT%"=="devices" goto installer
:look
set "STRATA_BUSY="
set "STRATA_RESULT=0"
call :%STRATA_WHAT%
if not defined STRATA_BUSY (
  echo %DATE% %TIME% %STRATA_WHAT%: ended with %STRATA_RESULT%
  exit /b %STRATA_RESULT%
)
if %STRATA_LEFT% LEQ 0 (
  echo %DATE% %TIME% %STRATA_WHAT%: not ready after %STRATA_LIMIT% s: %STRATA_BUSY%
  exit /b 1
)
if "%STRATA_LEFT%"=="%STRATA_LIMIT%" echo %DATE% %TIME% %STRATA_WHAT%: waiting up to %STRATA_LIMIT% s: %STRATA_BUSY%
set "STRATA_PAUSE=5"
if %STRATA_LEFT% LSS 5 set "STRATA_PAUSE=%STRATA_LEFT%"
set /a STRATA_LEFT-=STRATA_PAUSE >nul
set /a STRATA_PAUSE+=1 >nul
"%STRATA_SYSTEM%\ping.exe" -n %STRATA_PAUSE% 127.0.0.1 >nul 2>&1
goto look

rem CMP_WaitNoPendingInstallEvents of cfgmgr32.dll waits itself. It returns 0, or 258 when the time is over. -Command needs no execution policy.
:installer
set "STRATA_POWERSHELL=%STRATA_SYSTEM%\WindowsPowerShell\v1.0\powershell.exe"
set "STRATA_CODE=missing"
set "STRATA_MEMBER=[DllImport(\"cfgmgr32.dll\")] public static extern uint CMP_WaitNoPendingInstallEvents(uint milliseconds);"
set "STRATA_TYPE=$type = Add-Type -PassThru -Namespace Strata -Name Install -MemberDefinition '%STRATA_MEMBER%'"
echo %DATE% %TIME% devices: waiting up to %STRATA_LIMIT% s
if not exist "%STRATA_POWERSHELL%" goto look
"%STRATA_POWERSHELL%" -NoProfile -NonInteractive -Command "%STRATA_TYPE%; exit $type::CMP_WaitNoPendingInstallEvents(%STRATA_LIMIT%000)" <nul
set "STRATA_CODE=%ERRORLEVEL%"
if "%STRATA_CODE%"=="0" (
  echo %DATE% %TIME% devices: ready
  exit /b 0
)
if "%STRATA_CODE%"=="258" (
  echo %DATE% %TIME% devices: not ready after %STRATA_LIMIT% s
  exit /b 1
)
echo %DATE% %TIME% devices: PowerShell ended with %STRATA_CODE%; waiting for the end of drvinst.exe instead
goto look

rem Each of the following sets STRATA_BUSY to what is not ready, or STRATA_RESULT to an exit code other than 0.

:setup
for %%v in (SystemSetupInProgress OOBEInProgress) do call :flag %%v
exit /b 0

:flag
"%STRATA_SYSTEM%\reg.exe" query HKLM\SYSTEM\Setup /v %1 2>nul | "%STRATA_SYSTEM%\find.exe" "0x1" >nul
if not errorlevel 1 set "STRATA_BUSY=%1"
exit /b 0

rem TrustedInstaller stays for minutes after its work; TiWorker.exe is the process that works.
:servicing
call :process TiWorker.exe
if defined STRATA_BUSY exit /b 0
if "%STRATA_PHASE%"=="end" exit /b 0
set "STRATA_STATE="
set "STRATA_KEY=HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State"
for /f "tokens=1,3" %%a in ('%STRATA_SYSTEM%\reg.exe query %STRATA_KEY% /v ImageState 2^>nul') do if "%%a"=="ImageState" set "STRATA_STATE=%%b"
if not defined STRATA_STATE exit /b 0
if not "%STRATA_STATE%"=="IMAGE_STATE_COMPLETE" set "STRATA_BUSY=%STRATA_STATE%"
exit /b 0

:devices
call :process drvinst.exe
exit /b 0

:process
if not exist "%STRATA_SYSTEM%\tasklist.exe" set "STRATA_RESULT=3"
"%STRATA_SYSTEM%\tasklist.exe" /nh /fo csv /fi "imagename eq %1" 2>nul | "%STRATA_SYSTEM%\findstr.exe" /i /c:"%1" >nul
if not errorlevel 1 set "STRATA_BUSY=%1"
exit /b 0

rem The output of netsh is translated, but not its numbers. Interface 1 is the loopback interface.
:network
if not exist "%STRATA_SYSTEM%\netsh.exe" (
  set "STRATA_RESULT=3"
  exit /b 0
)
"%STRATA_SYSTEM%\netsh.exe" interface ipv4 show route 2>nul | "%STRATA_SYSTEM%\find.exe" " 0.0.0.0/0 " >nul
if not errorlevel 1 goto domain
"%STRATA_SYSTEM%\netsh.exe" interface ipv6 show route 2>nul | "%STRATA_SYSTEM%\find.exe" " ::/0 " >nul
if not errorlevel 1 goto domain
set "STRATA_BUSY=no default gateway"
set "STRATA_ADAPTERS="
for /f "tokens=1,2" %%a in ('%STRATA_SYSTEM%\netsh.exe interface ipv4 show interfaces 2^>nul') do call :adapter "%%a" "%%b"
if not "%STRATA_ADAPTERS%"=="0" exit /b 0
rem A new adapter may still appear.
set "STRATA_BUSY=no network adapter"
set /a STRATA_PASSED=STRATA_LIMIT-STRATA_LEFT >nul
if %STRATA_PASSED% LSS 30 if %STRATA_LEFT% GTR 0 exit /b 0
set "STRATA_BUSY="
set "STRATA_RESULT=2"
exit /b 0

rem :adapter INDEX METRIC - count a line that describes an interface other than loopback
:adapter
for /f "delims=0123456789" %%x in ("%~1%~2") do exit /b 0
if not defined STRATA_ADAPTERS set "STRATA_ADAPTERS=0"
if not "%~1"=="1" set /a STRATA_ADAPTERS+=1 >nul
exit /b 0

rem Windows starts Netlogon automatically only on members of a domain.
:domain
set "STRATA_KEY=HKLM\SYSTEM\CurrentControlSet\Services\Netlogon"
"%STRATA_SYSTEM%\reg.exe" query %STRATA_KEY% /v Start 2>nul | "%STRATA_SYSTEM%\find.exe" "0x2" >nul
if errorlevel 1 exit /b 0
"%STRATA_SYSTEM%\sc.exe" query Netlogon 2>nul | "%STRATA_SYSTEM%\find.exe" "RUNNING" >nul
if errorlevel 1 set "STRATA_BUSY=Netlogon does not run"
exit /b 0
