@echo off
rem Started by the startup task of Windows: activation, then the scripts of the image. Part of strata.layering; see its docs/scripts.md.
setlocal EnableExtensions DisableDelayedExpansion
set "STRATA_SCRIPTS=%~dp0..\"
rem Only images are activated. In the OS machine and in packaging machines, activation data would become part of a layer.
if not exist "%STRATA_SCRIPTS%image\plan.txt" exit /b 0
>>"%~dp0kmssetup.log" echo %DATE% %TIME% start
if exist "%STRATA_SCRIPTS%run-scripts.cmd" call "%STRATA_SCRIPTS%run-scripts.cmd" startup
exit /b 0
