@echo off
rem Runs once, at the first start of an image of this template, after the scripts of the layers.
if not exist "C:\ProgramData\Strata Editor\licence.txt" (
  echo The editor is not registered.
  exit /b 3
)
>>"C:\ProgramData\House\desktop.txt" echo Shared desktop
echo named
