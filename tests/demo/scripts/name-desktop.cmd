@echo off
rem Runs once, when an image of this template starts for the first time, after the scripts of its layers.
if not exist "C:\ProgramData\Strata Editor\licence.txt" (
  echo The editor is not registered.
  exit /b 3
)
>>"C:\ProgramData\House\desktop.txt" echo The desktop of everybody
echo named
