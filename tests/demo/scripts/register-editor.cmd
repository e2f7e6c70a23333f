@echo off
rem Runs once, at the first start of an image with the editor.
if not exist "C:\Program Files\Strata Editor\editor.exe" (
  echo The editor is not installed.
  exit /b 2
)
if not exist "C:\ProgramData\Strata Editor" md "C:\ProgramData\Strata Editor"
>"C:\ProgramData\Strata Editor\licence.txt" echo Licensed to the house
echo registered
