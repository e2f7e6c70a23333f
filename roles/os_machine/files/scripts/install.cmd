@echo off
rem Installs or removes the OS machine tools of strata.layering; see its docs/scripts.md.
rem   install.cmd              copies the tools to %SystemRoot%\Setup\scripts and creates the startup task, or replaces that of an earlier version
rem   install.cmd /uninstall   removes both, but keeps the files for activation
setlocal EnableExtensions DisableDelayedExpansion
set "STRATA_SOURCE=%~dp0"
set "STRATA_TARGET=%SystemRoot%\Setup\scripts\"
set "STRATA_TASK=strata.layering\startup"
set "STRATA_FAILED="
set "STRATA_SCHTASKS=%SystemRoot%\System32\schtasks.exe"
set "STRATA_FIND=%SystemRoot%\System32\find.exe"
set "STRATA_OFFICE=%STRATA_TARGET%kmsdir\officeactivate.cmd"
if /i "%~1"=="/uninstall" goto uninstall
if not "%~1"=="" (
  echo Usage: install.cmd [/uninstall]
  exit /b 2
)
if not exist "%STRATA_TARGET%kmsdir" md "%STRATA_TARGET%kmsdir"
if /i "%STRATA_SOURCE%"=="%STRATA_TARGET%" goto office
for %%f in (install.cmd run-scripts.cmd wait.cmd finalize.cmd officeactivate.cmd startup.xml kmsdir\kmssetup.cmd) do call :copy %%f
if defined STRATA_FAILED goto failed
:office
rem An officeactivate.cmd of the administrator is kept.
call :own
if defined STRATA_OWN copy /y "%STRATA_TARGET%officeactivate.cmd" "%STRATA_OFFICE%" >nul
rem Tasks of earlier versions have the defaults of schtasks.exe: a low priority and a limit of three days.
"%STRATA_SCHTASKS%" /query /tn "%STRATA_TASK%" /xml 2>nul | "%STRATA_FIND%" "<ExecutionTimeLimit>PT0S<" >nul
if not errorlevel 1 (
  echo The tools are installed. The startup task already exists.
  exit /b 0
)
"%STRATA_SCHTASKS%" /create /f /tn "%STRATA_TASK%" /xml "%STRATA_TARGET%startup.xml" >nul
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

rem :own - set STRATA_OWN if kmsdir\officeactivate.cmd does not exist or is part of these tools
:own
set "STRATA_OWN=1"
if not exist "%STRATA_OFFICE%" exit /b 0
"%STRATA_FIND%" "strata.layering" "%STRATA_OFFICE%" >nul
if errorlevel 1 set "STRATA_OWN="
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
call :own
if defined STRATA_OWN if exist "%STRATA_OFFICE%" del "%STRATA_OFFICE%"
for %%f in (run-scripts.cmd wait.cmd finalize.cmd officeactivate.cmd startup.xml kmsdir\kmssetup.cmd) do if exist "%STRATA_TARGET%%%f" del "%STRATA_TARGET%%%f"
rem This removes the folder only if it is empty.
rd "%STRATA_TARGET%kmsdir" 2>nul
echo The tools are removed.
exit /b 0
