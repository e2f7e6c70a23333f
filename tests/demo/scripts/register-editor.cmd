@echo off
rem Runs once, when an image with the editor starts for the first time.
if not exist "C:\Program Files\Strata Editor\editor.exe" (
  echo The editor is not installed.
  exit /b 2
)
if not exist "C:\ProgramData\Strata Editor" md "C:\ProgramData\Strata Editor"
>"C:\ProgramData\Strata Editor\licence.txt" echo Licensed to the house
echo registered
