@echo off
rem Installs the licenses of Office with a volume license again, and activates it. Part of strata.layering; see its docs/scripts.md.
rem Windows keeps these licenses in its token store, which is not part of layers. This file is the script of layers with such licenses.
rem In kmsdir, where install.cmd copies it, it does nothing unless kmsdir has the file officekeys.txt with product keys, one per line.
rem The exit code is 0 if Office is activated or needs no activation, else 1.
setlocal EnableExtensions DisableDelayedExpansion
set "STRATA_SYSTEM=%SystemRoot%\System32"
set "STRATA_SCRIPTS=%SystemRoot%\Setup\scripts\"
set "STRATA_KMSDIR=%STRATA_SCRIPTS%kmsdir\"
set "STRATA_KEYS=%STRATA_KMSDIR%officekeys.txt"
set "STRATA_OUT=%~dpn0.out"
set "STRATA_FAILED="
set "STRATA_FOUND="
set "STRATA_TRIES=5"
set "STRATA_PAUSE=30"
if exist "%STRATA_KMSDIR%office_done" (
  echo Office has been activated before.
  exit /b 0
)
if /i "%~dp0"=="%STRATA_KMSDIR%" goto kmsdir
if exist "%STRATA_SCRIPTS%image\results\activation.skipped" (
  echo The activation was skipped.
  exit /b 0
)
rem An officeactivate.cmd of the administrator has succeeded.
if not exist "%STRATA_KMSDIR%officeactivate_done" goto settings
"%STRATA_SYSTEM%\find.exe" "strata.layering" "%STRATA_KMSDIR%officeactivate.cmd" >nul 2>&1
if not errorlevel 1 goto settings
echo Office has been activated by kmsdir\officeactivate.cmd.
exit /b 0

rem run-scripts.cmd repeats a file of kmsdir itself.
:kmsdir
if not exist "%STRATA_KEYS%" exit /b 0
set "STRATA_TRIES=1"
goto start

:settings
if not exist "%STRATA_SCRIPTS%first-start.txt" goto start
for /f "usebackq eol=# tokens=1,2 delims== " %%a in ("%STRATA_SCRIPTS%first-start.txt") do call :setting %%a %%b

:start
set "STRATA_PROGRAMS=%ProgramFiles%"
if defined ProgramW6432 set "STRATA_PROGRAMS=%ProgramW6432%"
call :office "%STRATA_PROGRAMS%"
if not defined STRATA_FAILED call :office "%ProgramFiles(x86)%"
del "%STRATA_OUT%" "%STRATA_OUT%.error" "%STRATA_OUT%.list" 2>nul
if defined STRATA_FAILED exit /b 1
if not defined STRATA_FOUND (
  echo There is no Office with a volume license.
  exit /b 0
)
rem Clones of the image do not need the keys.
if exist "%STRATA_KEYS%" del "%STRATA_KEYS%"
if exist "%STRATA_KMSDIR%" >"%STRATA_KMSDIR%office_done" echo %DATE% %TIME%
exit /b 0

rem :setting NAME VALUE - a setting of first-start.txt
:setting
if "%~2"=="" exit /b 0
for /f "delims=0123456789" %%x in ("%~2") do exit /b 0
if /i "%~1"=="tries" set "STRATA_TRIES=%~2"
if /i "%~1"=="pause" set "STRATA_PAUSE=%~2"
exit /b 0

rem :office FOLDER - license the Office in a folder of programs. Sets STRATA_FOUND, and STRATA_FAILED if a step fails.
:office
if defined STRATA_FOUND exit /b 0
set "STRATA_OFFICE=%~1\Microsoft Office"
set "STRATA_LICENSES=%STRATA_OFFICE%\root\Licenses16"
if not exist "%STRATA_LICENSES%\*VL*.xrm-ms" exit /b 0
rem Click-to-Run installs the licenses of all products, also with a subscription. Its configuration has the installed products.
set "STRATA_PRODUCTS="
set "STRATA_KEY=HKLM\SOFTWARE\Microsoft\Office\ClickToRun\Configuration"
for /f "tokens=2,3" %%a in ('%STRATA_SYSTEM%\reg.exe query %STRATA_KEY% /v ProductReleaseIds 2^>nul') do if "%%a"=="REG_SZ" set "STRATA_PRODUCTS=%%b"
set "STRATA_NAMES="
if not defined STRATA_PRODUCTS goto found
for %%p in (%STRATA_PRODUCTS:,= %) do call :product %%p
if not defined STRATA_NAMES exit /b 0
:found
set "STRATA_FOUND=1"
set "STRATA_OSPP=%STRATA_OFFICE%\Office16\ospp.vbs"
if not exist "%STRATA_OSPP%" set "STRATA_OSPP=%STRATA_OFFICE%\root\Office16\ospp.vbs"
if exist "%STRATA_OSPP%" goto install
rem The folder has a parenthesis in its name, so this cannot be in a block.
echo Office has no ospp.vbs in %STRATA_OFFICE%\Office16.
set "STRATA_FAILED=1"
exit /b 0
:install
call :licenses client-issuance*
call :licenses pkeyconfig-office*
if not defined STRATA_PRODUCTS call :licenses *VL*
for %%n in (%STRATA_NAMES%) do call :licenses %%n_*
set "STRATA_NUMBER=0"
if exist "%STRATA_KEYS%" for /f "usebackq eol=# tokens=1" %%k in ("%STRATA_KEYS%") do if not defined STRATA_FAILED call :key "%%k"
if defined STRATA_FAILED exit /b 0
set "STRATA_TRY=0"
:activate
set /a STRATA_TRY+=1 >nul
call :ospp /act
"%STRATA_SYSTEM%\find.exe" "<No installed product keys detected>" "%STRATA_OUT%" >nul
if not errorlevel 1 (
  set "STRATA_FAILED=1"
  echo Office has no product key. Write the keys of its volume license to the file officekeys.txt in %STRATA_KMSDIR%
  exit /b 0
)
set "STRATA_FAILED=1"
"%STRATA_SYSTEM%\find.exe" "<Product activation successful>" "%STRATA_OUT%" >nul
if not errorlevel 1 set "STRATA_FAILED="
"%STRATA_SYSTEM%\find.exe" "ERROR CODE:" "%STRATA_OUT%" >nul
if not errorlevel 1 set "STRATA_FAILED=1"
if not defined STRATA_FAILED (
  echo Office is activated.
  exit /b 0
)
call :reason "Office cannot be activated (attempt %STRATA_TRY%)"
if %STRATA_TRY% GEQ %STRATA_TRIES% exit /b 0
set /a STRATA_NEXT=STRATA_PAUSE+1 >nul
"%STRATA_SYSTEM%\ping.exe" -n %STRATA_NEXT% 127.0.0.1 >nul 2>&1
goto activate

rem :product NAME - add the name with which the license files of a product begin: ProPlus2021VL for ProPlus2021Volume.
:product
set "STRATA_PRODUCT=%~1"
if /i not "%STRATA_PRODUCT:~-6%"=="Volume" exit /b 0
set "STRATA_NAMES=%STRATA_NAMES% %STRATA_PRODUCT:~0,-6%VL"
exit /b 0

rem :licenses NAMES - install the license files with names of this form.
:licenses
dir /b /a-d "%STRATA_LICENSES%\%~1.xrm-ms" >"%STRATA_OUT%.list" 2>nul
for /f "usebackq delims=" %%f in ("%STRATA_OUT%.list") do call :license "%%f"
exit /b 0

rem :license FILE - install a license file, unless a step has failed.
:license
if defined STRATA_FAILED exit /b 0
call :ospp "/inslic:%STRATA_LICENSES%\%~1"
"%STRATA_SYSTEM%\find.exe" "Office license installed successfully" "%STRATA_OUT%" >nul
if not errorlevel 1 exit /b 0
set "STRATA_FAILED=1"
call :reason "The license file %~1 cannot be installed"
exit /b 0

rem :key KEY - install a product key. The messages have only its number.
:key
set /a STRATA_NUMBER+=1 >nul
call :ospp "/inpkey:%~1"
"%STRATA_SYSTEM%\find.exe" "<Product key installation successful>" "%STRATA_OUT%" >nul
if not errorlevel 1 exit /b 0
set "STRATA_FAILED=1"
call :reason "Product key %STRATA_NUMBER% of officekeys.txt cannot be installed"
exit /b 0

rem :ospp ARGUMENT - run ospp.vbs, whose exit code is always 0. Its messages are English in every language of Office.
:ospp
"%STRATA_SYSTEM%\cscript.exe" //nologo "%STRATA_OSPP%" "%~1" >"%STRATA_OUT%" 2>&1 <nul
exit /b 0

rem :reason MESSAGE - print the message with the error code of ospp.vbs.
:reason
set "STRATA_ERROR=ospp.vbs reported no error code"
"%STRATA_SYSTEM%\find.exe" "ERROR CODE:" "%STRATA_OUT%" >"%STRATA_OUT%.error"
for /f "usebackq tokens=1,* delims=:" %%a in ("%STRATA_OUT%.error") do if "%%a"=="ERROR CODE" set "STRATA_ERROR=error code%%b"
echo %~1: %STRATA_ERROR%.
exit /b 0
