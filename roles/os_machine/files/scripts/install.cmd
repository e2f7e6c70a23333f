@echo off
rem Installs or removes the OS machine tools of strata.layering; see its docs/scripts.md.
rem   install.cmd              copies the tools to %SystemRoot%\Setup\scripts and creates the startup task
rem   install.cmd /uninstall   removes both, but keeps the files for activation
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
  echo The tools are installed. The startup task already exists.
  exit /b 0
)
"%STRATA_SCHTASKS%" /create /f /tn "%STRATA_TASK%" /sc onstart /ru SYSTEM /rl highest /tr "%STRATA_TARGET%kmsdir\kmssetup.cmd" >nul
if errorlevel 1 goto failed
echo The tools are installed.
exit /b 0

:failed
echo The tools cannot be installed. Run install.cmd from its folder, as an administrator.
exit /b 1

rem :copy FILE - copy a file to the target; sets STRATA_FAILED if this fails
:copy
copy /y "%STRATA_SOURCE%%1" "%STRATA_TARGET%%1" >nul
if errorlevel 1 set "STRATA_FAILED=1"
exit /b 0

:uninstall
"%STRATA_SCHTASKS%" /query /tn "%STRATA_TASK%" >nul 2>&1
if errorlevel 1 goto files
"%STRATA_SCHTASKS%" /delete /f /tn "%STRATA_TASK%" >nul
if errorlevel 1 (
  echo The startup task cannot be removed. Run install.cmd as an administrator.
  exit /b 1
)
:files
for %%f in (run-scripts.cmd finalize.cmd kmsdir\kmssetup.cmd) do if exist "%STRATA_TARGET%%%f" del "%STRATA_TARGET%%%f"
rem This removes the folder only if it is empty.
rd "%STRATA_TARGET%kmsdir" 2>nul
echo The tools are removed.
exit /b 0
