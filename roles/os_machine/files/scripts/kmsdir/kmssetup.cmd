@echo off
rem Started by the startup task of Windows: runs activation, then the scripts of the image. Part of strata.layering; see its docs/scripts.md.
setlocal EnableExtensions DisableDelayedExpansion
set "STRATA_KMSDIR=%~dp0"
set "STRATA_SCRIPTS=%~dp0..\"
set "STRATA_LOG=%~dp0kmssetup.log"
set "STRATA_PURPOSE="
rem Only images are activated. In the OS machine and in packaging machines, activation data would become part of a layer.
if not exist "%STRATA_SCRIPTS%image\plan.txt" exit /b 0
>>"%STRATA_LOG%" echo %DATE% %TIME% start
:setup
rem After Sysprep, scheduled tasks start while Windows Setup is still running: a shutdown at that time would damage the installation.
set "STRATA_SETUP="
for %%v in (SystemSetupInProgress OOBEInProgress) do call :flag %%v
if defined STRATA_SETUP (
  "%SystemRoot%\System32\ping.exe" -n 6 127.0.0.1 >nul 2>&1
  goto setup
)
for %%m in (runipkato.cmd runato.cmd officeactivate.cmd) do if exist "%STRATA_KMSDIR%%%m" if not exist "%STRATA_KMSDIR%%%~nm_done" call :activate %%m
if exist "%STRATA_SCRIPTS%run-scripts.cmd" call "%STRATA_SCRIPTS%run-scripts.cmd" startup
exit /b 0

rem :purpose - read the purpose of the VM from vSphere: an OS machine may have a plan if it was created from an image.
:purpose
set "STRATA_PURPOSE=unknown"
set "STRATA_PROGRAMS=%ProgramFiles%"
if defined ProgramW6432 set "STRATA_PROGRAMS=%ProgramW6432%"
set "STRATA_VMTOOLS=%STRATA_PROGRAMS%\VMware\VMware Tools\vmtoolsd.exe"
if not exist "%STRATA_VMTOOLS%" exit /b 0
"%STRATA_VMTOOLS%" --cmd "info-get guestinfo.strata.layering.purpose" >"%STRATA_KMSDIR%guestinfo.txt" 2>nul <nul
if not errorlevel 1 set /p STRATA_PURPOSE=<"%STRATA_KMSDIR%guestinfo.txt"
del "%STRATA_KMSDIR%guestinfo.txt"
exit /b 0

rem :flag NAME - set STRATA_SETUP if this value of Windows Setup is 1.
:flag
"%SystemRoot%\System32\reg.exe" query HKLM\SYSTEM\Setup /v %1 2>nul | "%SystemRoot%\System32\find.exe" "0x1" >nul
if not errorlevel 1 set "STRATA_SETUP=1"
exit /b 0

rem :activate FILE - call a file of kmsdir; a file that succeeded is not called again.
:activate
if not defined STRATA_PURPOSE call :purpose
if /i "%STRATA_PURPOSE%"=="packaging" exit /b 0
"%SystemRoot%\System32\cmd.exe" /d /c ""%STRATA_KMSDIR%%1"" >>"%STRATA_LOG%" 2>&1 <nul
set "STRATA_CODE=%ERRORLEVEL%"
>>"%STRATA_LOG%" echo %DATE% %TIME% %1 ended with %STRATA_CODE%
if "%STRATA_CODE%"=="0" >"%STRATA_KMSDIR%%~n1_done" echo %DATE% %TIME%
exit /b 0
