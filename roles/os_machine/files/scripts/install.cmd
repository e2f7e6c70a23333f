@echo off
rem Installs the OS machine tools of strata.layering in this Windows, or takes them out again; see its docs/scripts.md.
rem   install.cmd              copies the tools to %SystemRoot%\Setup\scripts and makes the startup task
rem   install.cmd /uninstall   removes both; files for activation stay
setlocal EnableExtensions DisableDelayedExpansion
set "STRATA_SOURCE=%~dp0"
set "STRATA_TARGET=%SystemRoot%\Setup\scripts\"
set "STRATA_TASK=strata.layering\startup"
set "STRATA_FAILED="
set "STRATA_SCHTASKS=%SystemRoot%\System32\schtasks.exe"
if /i "%~1"=="/uninstall" goto uninstall
if not "%~1"=="" (
  echo Usage: install.cmd [/uninstall]
  exit /b 2
)
if not exist "%STRATA_TARGET%kmsdir" md "%STRATA_TARGET%kmsdir"
if /i "%STRATA_SOURCE%"=="%STRATA_TARGET%" goto task
for %%f in (install.cmd run-scripts.cmd finalize.cmd kmsdir\kmssetup.cmd) do call :copy %%f
if defined STRATA_FAILED goto failed
:task
"%STRATA_SCHTASKS%" /query /tn "%STRATA_TASK%" >nul 2>&1
if not errorlevel 1 (
  echo The tools are installed, the startup task was there.
  exit /b 0
)
"%STRATA_SCHTASKS%" /create /f /tn "%STRATA_TASK%" /sc onstart /ru SYSTEM /rl highest /tr "%STRATA_TARGET%kmsdir\kmssetup.cmd" >nul
if errorlevel 1 goto failed
echo The tools are installed.
exit /b 0

:failed
echo The tools could not be installed. Run install.cmd from its folder, as an administrator.
exit /b 1

rem :copy FILE - bring a file of the source to its place; sets STRATA_FAILED when that cannot be done
:copy
copy /y "%STRATA_SOURCE%%1" "%STRATA_TARGET%%1" >nul
if errorlevel 1 set "STRATA_FAILED=1"
exit /b 0

:uninstall
"%STRATA_SCHTASKS%" /query /tn "%STRATA_TASK%" >nul 2>&1
if errorlevel 1 goto files
"%STRATA_SCHTASKS%" /delete /f /tn "%STRATA_TASK%" >nul
if errorlevel 1 (
  echo The startup task could not be removed. Run install.cmd as an administrator.
  exit /b 1
)
:files
for %%f in (run-scripts.cmd finalize.cmd kmsdir\kmssetup.cmd) do if exist "%STRATA_TARGET%%%f" del "%STRATA_TARGET%%%f"
rem Only an empty folder goes.
rd "%STRATA_TARGET%kmsdir" 2>nul
echo The tools are removed.
exit /b 0
