@echo off
rem Runs activation and the scripts of an image once, in order, and reports the results to vSphere. Part of strata.layering; see its docs/scripts.md.
rem   run-scripts.cmd           waits until Windows is ready, activates it, and runs or resumes the scripts
rem   run-scripts.cmd skip      marks the failed activation or script as done, then resumes
rem   run-scripts.cmd startup   called by the startup task of Windows
setlocal EnableExtensions DisableDelayedExpansion
if "%~1"=="line" goto line
set "STRATA_RUNNER=%~f0"
set "STRATA_IMAGE=%~dp0image"
set "STRATA_RESULTS=%STRATA_IMAGE%\results"
set "STRATA_KMSDIR=%~dp0kmsdir\"
set "STRATA_LOG=%STRATA_KMSDIR%kmssetup.log"
set "STRATA_SYSTEM=%SystemRoot%\System32"
set "STRATA_PROGRAMS=%ProgramFiles%"
if defined ProgramW6432 set "STRATA_PROGRAMS=%ProgramW6432%"
set "STRATA_VMTOOLS=%STRATA_PROGRAMS%\VMware\VMware Tools\vmtoolsd.exe"
rem Only images have a plan. The file finished exists in clones of a finished image.
if not exist "%STRATA_IMAGE%\plan.txt" exit /b 0
if exist "%STRATA_IMAGE%\finished" goto finished
if not exist "%STRATA_RESULTS%" md "%STRATA_RESULTS%"
if not exist "%STRATA_KMSDIR%" md "%STRATA_KMSDIR%"
call :get STRATA_PURPOSE guestinfo.strata.layering.purpose
if /i "%STRATA_PURPOSE%"=="packaging" exit /b 0
call :get STRATA_MODE guestinfo.strata.layering.mode
rem Only one process can create the folder. At startup, an existing folder is a leftover of an interrupted start.
if /i "%~1"=="startup" if exist "%STRATA_IMAGE%\running" rd "%STRATA_IMAGE%\running"
md "%STRATA_IMAGE%\running" 2>nul
if errorlevel 1 (
  if exist "%STRATA_IMAGE%\running" echo The scripts are already running. If they were interrupted, restart Windows.
  if not exist "%STRATA_IMAGE%\running" echo The scripts cannot be run. Run run-scripts.cmd as an administrator.
  exit /b 1
)
set "STRATA_TOTAL=0"
set "STRATA_INDEX=0"
set "STRATA_SKIP="
set "STRATA_STOP="
if /i "%~1"=="skip" set "STRATA_SKIP=1"
call :digest
for /f "usebackq tokens=1,2,3 delims=|" %%a in ("%STRATA_IMAGE%\plan.txt") do if not "%%c"=="" set /a STRATA_TOTAL+=1 >nul
call :set image %STRATA_DIGEST%
call :set state running
for %%w in (setup servicing devices network) do if not defined STRATA_STOP call :wait %%w
if not defined STRATA_STOP call :activation
for /f "usebackq tokens=1,2,3 delims=|" %%a in ("%STRATA_IMAGE%\plan.txt") do if not "%%c"=="" if not defined STRATA_STOP call :script "%%a" "%%b" "%%c"
rem The snapshot must not contain an installation that was interrupted by the shutdown.
if /i not "%STRATA_MODE%"=="manual" if not defined STRATA_SKIP for %%w in (servicing devices) do if not defined STRATA_STOP call :wait %%w end
rd "%STRATA_IMAGE%\running"
if "%STRATA_STOP%"=="reboot" goto reboot
if defined STRATA_STOP exit /b 1
>"%STRATA_IMAGE%\finished" echo %DATE% %TIME%
call :set state finished
if /i "%STRATA_MODE%"=="manual" exit /b 0
call :power /s
rem If a script has already started a restart of Windows, the scripts are not finished: the next start of Windows runs this again.
if errorlevel 1 del "%STRATA_IMAGE%\finished"
exit /b 0
:reboot
call :power /r
exit /b 0

rem A publish task can request the report again, as long as the image has no snapshot. Clones never get this request.
:finished
call :digest
call :get STRATA_AGAIN guestinfo.strata.layering.again
if not defined STRATA_AGAIN exit /b 0
if not "%STRATA_AGAIN%"=="%STRATA_DIGEST%" exit /b 0
call :set image %STRATA_DIGEST%
call :set state finished
call :power /s
exit /b 0

rem :power ACTION - shut down (/s) or restart (/r) now, also if a script has called shutdown.exe with a delay. ERRORLEVEL is 1 if Windows refuses.
:power
"%STRATA_SYSTEM%\shutdown.exe" %1 /t 0
if not errorlevel 1 exit /b 0
"%STRATA_SYSTEM%\shutdown.exe" /a
"%STRATA_SYSTEM%\shutdown.exe" %1 /t 0
if errorlevel 1 exit /b 1
exit /b 0

rem :digest - set STRATA_DIGEST to the digest of the image in the plan.
:digest
set "STRATA_DIGEST="
for /f "usebackq tokens=1,2 delims==" %%a in ("%STRATA_IMAGE%\plan.txt") do if "%%a"=="image" set "STRATA_DIGEST=%%b"
exit /b 0

rem :limit NAME DEFAULT - set STRATA_LIMIT to the number NAME of first-start.txt, or to the default.
:limit
set "STRATA_LIMIT=%2"
set "STRATA_VALUE="
if not exist "%~dp0first-start.txt" exit /b 0
for /f "usebackq eol=# tokens=1,2 delims== " %%a in ("%~dp0first-start.txt") do if /i "%%a"=="%1" set "STRATA_VALUE=%%b"
if not defined STRATA_VALUE exit /b 0
for /f "delims=0123456789" %%x in ("%STRATA_VALUE%") do exit /b 0
if %STRATA_VALUE% LEQ 86400 set "STRATA_LIMIT=%STRATA_VALUE%"
exit /b 0

rem :wait NAME [end] - wait until Windows is ready, and report the result. Sets STRATA_STOP if Windows must not be used or shut down yet.
:wait
if not exist "%~dp0wait.cmd" exit /b 0
set "STRATA_DEFAULT=600"
if "%1"=="setup" set "STRATA_DEFAULT=3600"
if "%1"=="devices" set "STRATA_DEFAULT=300"
if "%1"=="network" set "STRATA_DEFAULT=120"
call :limit %1 %STRATA_DEFAULT%
if "%STRATA_LIMIT%"=="0" exit /b 0
call :set current "wait %1"
"%STRATA_SYSTEM%\cmd.exe" /d /c ""%~dp0wait.cmd" %1 %STRATA_LIMIT% %2" >>"%STRATA_LOG%" 2>&1 <nul
set "STRATA_CODE=%ERRORLEVEL%"
set "STRATA_ENDED=unknown"
if "%STRATA_CODE%"=="0" set "STRATA_ENDED=ready"
if "%STRATA_CODE%"=="1" set "STRATA_ENDED=timeout"
if "%STRATA_CODE%"=="2" set "STRATA_ENDED=absent"
>"%STRATA_RESULTS%\wait-%1.txt" echo %STRATA_ENDED%
call :set wait.%1 %STRATA_ENDED%
if not "%STRATA_ENDED%"=="timeout" exit /b 0
if not "%1"=="setup" if not "%2"=="end" exit /b 0
set "STRATA_CODE=timeout"
set "STRATA_RESULT="
goto failed

rem :activation - call the files of kmsdir for activation that have not succeeded yet. Sets STRATA_STOP if one of them fails.
:activation
set "STRATA_RESULT=%STRATA_RESULTS%\activation"
set "STRATA_CODE="
if exist "%STRATA_RESULT%.skipped" exit /b 0
if defined STRATA_SKIP if exist "%STRATA_RESULT%.code" set /p STRATA_CODE=<"%STRATA_RESULT%.code"
if not defined STRATA_CODE goto activate
if "%STRATA_CODE%"=="0" goto activate
set "STRATA_SKIP="
>"%STRATA_RESULT%.skipped" echo %DATE% %TIME%
exit /b 0
:activate
set "STRATA_CODE="
for %%m in (runipkato.cmd runato.cmd officeactivate.cmd) do if not defined STRATA_STOP if exist "%STRATA_KMSDIR%%%m" if not exist "%STRATA_KMSDIR%%%~nm_done" call :attempts %%m
if "%STRATA_CODE%"=="0" call :store activation
exit /b 0

rem :attempts FILE - call a file of kmsdir until it succeeds, up to the number of tries; a file that succeeded is not called again.
:attempts
call :limit tries 5
set "STRATA_TRIES=%STRATA_LIMIT%"
call :limit pause 30
set /a STRATA_PAUSE=STRATA_LIMIT+1 >nul
set "STRATA_TRY=0"
call :set current "activation %1"
:try
set /a STRATA_TRY+=1 >nul
"%STRATA_SYSTEM%\cmd.exe" /d /c ""%STRATA_KMSDIR%%1"" >"%STRATA_RESULT%.log" 2>&1 <nul
set "STRATA_CODE=%ERRORLEVEL%"
call :censor
type "%STRATA_RESULT%.log" >>"%STRATA_LOG%"
>>"%STRATA_LOG%" echo %DATE% %TIME% %1 ended with %STRATA_CODE% (attempt %STRATA_TRY%)
if "%STRATA_CODE%"=="0" (
  >"%STRATA_KMSDIR%%~n1_done" echo %DATE% %TIME%
  exit /b 0
)
if %STRATA_TRY% GEQ %STRATA_TRIES% goto given
"%STRATA_SYSTEM%\ping.exe" -n %STRATA_PAUSE% 127.0.0.1 >nul 2>&1
goto try
:given
call :store activation
goto failed

rem :store NAME - write STRATA_CODE to the code file and report it. The file is created by a rename: if the VM is powered off before, it does not exist.
:store
>"%STRATA_RESULT%.new" echo %STRATA_CODE%
move /y "%STRATA_RESULT%.new" "%STRATA_RESULT%.code" >nul
call :set result.%1 %STRATA_CODE%
exit /b 0

rem :censor - remove lines with a product key from the log. findstr.exe allows at most 15 character classes.
:censor
set "STRATA_GROUP=[0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]"
set "STRATA_PATTERN=.....-%STRATA_GROUP%-.....-%STRATA_GROUP%-....."
"%STRATA_SYSTEM%\findstr.exe" /i /r /c:"%STRATA_PATTERN%" "%STRATA_RESULT%.log" >nul 2>&1
if errorlevel 1 exit /b 0
>"%STRATA_RESULT%.part" echo Lines with a product key were removed.
"%STRATA_SYSTEM%\findstr.exe" /v /i /r /c:"%STRATA_PATTERN%" "%STRATA_RESULT%.log" >>"%STRATA_RESULT%.part"
move /y "%STRATA_RESULT%.part" "%STRATA_RESULT%.log" >nul
exit /b 0

rem :script NUMBER LABEL FILE - run a script unless it is done. Sets STRATA_STOP to failed or reboot if the next script must not start.
:script
set /a STRATA_INDEX+=1 >nul
set "STRATA_NUMBER=%~1"
set "STRATA_LABEL=%~2"
set "STRATA_FILE=%STRATA_IMAGE%\%~3"
set "STRATA_RESULT=%STRATA_RESULTS%\%~1"
if exist "%STRATA_RESULT%.skipped" exit /b 0
set "STRATA_CODE="
if exist "%STRATA_RESULT%.code" set /p STRATA_CODE=<"%STRATA_RESULT%.code"
if "%STRATA_CODE%"=="0" exit /b 0
if "%STRATA_CODE%"=="3010" exit /b 0
if "%STRATA_CODE%"=="1641" exit /b 0
if not defined STRATA_CODE goto begin
if not defined STRATA_SKIP goto again
set "STRATA_SKIP="
>"%STRATA_RESULT%.skipped" echo %DATE% %TIME%
exit /b 0
:again
del "%STRATA_RESULT%.code" "%STRATA_RESULT%.started" 2>nul
:begin
call :set current "%STRATA_INDEX%/%STRATA_TOTAL% %STRATA_LABEL%"
set "STRATA_STARTS=0"
if exist "%STRATA_RESULT%.started" set /p STRATA_STARTS=<"%STRATA_RESULT%.started"
set /a STRATA_STARTS+=1 >nul
if %STRATA_STARTS% GTR 3 goto interrupted
>"%STRATA_RESULT%.started" echo %STRATA_STARTS%
if /i "%~x3"==".ps1" goto powershell
"%STRATA_SYSTEM%\cmd.exe" /d /c ""%STRATA_FILE%"" >"%STRATA_RESULT%.log" 2>&1 <nul
set "STRATA_CODE=%ERRORLEVEL%"
goto ended
:powershell
set "STRATA_POWERSHELL=%STRATA_SYSTEM%\WindowsPowerShell\v1.0\powershell.exe"
"%STRATA_POWERSHELL%" -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "%STRATA_FILE%" >"%STRATA_RESULT%.log" 2>&1 <nul
set "STRATA_CODE=%ERRORLEVEL%"
goto ended
:interrupted
set "STRATA_CODE=interrupted"
:ended
rem A shutdown of Windows ends processes with these codes (DBG_TERMINATE_PROCESS, STATUS_CONTROL_C_EXIT), maybe before it ends this process.
if "%STRATA_CODE%"=="1073807364" call :survive
if "%STRATA_CODE%"=="-1073741510" call :survive
if not defined STRATA_CODE exit /b 0
call :censor
call :store %STRATA_NUMBER%
if "%STRATA_CODE%"=="0" exit /b 0
set "STRATA_STOP=reboot"
if "%STRATA_CODE%"=="3010" exit /b 0
if "%STRATA_CODE%"=="1641" exit /b 0
:failed
set "STRATA_STOP=failed"
call :output
call :set code %STRATA_CODE%
rem This does not use :set, because call would interpret a /? in the line.
if exist "%STRATA_VMTOOLS%" "%STRATA_VMTOOLS%" --cmd "info-set guestinfo.strata.layering.scripts.output %STRATA_PLAIN%" >nul 2>&1 <nul
call :set state failed
exit /b 0

rem :survive - wait 15 seconds. If a shutdown ends the waiting program, the script was interrupted and has no code.
:survive
"%STRATA_SYSTEM%\ping.exe" -n 16 127.0.0.1 >nul 2>&1
if not "%ERRORLEVEL%"=="1073807364" if not "%ERRORLEVEL%"=="-1073741510" exit /b 0
set "STRATA_CODE="
set "STRATA_STOP=interrupted"
exit /b 0

rem :output - set STRATA_PLAIN to the last line of the log that is not empty: at most 200 characters of ASCII without special meaning for a shell.
:output
set "STRATA_PLAIN="
set "STRATA_LINE="
rem A line that is too long would end cmd.exe: a second cmd.exe reads the log.
if not defined STRATA_RESULT exit /b 0
if exist "%STRATA_RESULT%.log" "%STRATA_SYSTEM%\cmd.exe" /d /c ""%STRATA_RUNNER%" line "%STRATA_RESULT%"" >nul 2>&1 <nul
if exist "%STRATA_RESULT%.line" set /p STRATA_LINE=<"%STRATA_RESULT%.line"
if exist "%STRATA_RESULT%.line" del "%STRATA_RESULT%.line"
if not defined STRATA_LINE exit /b 0
rem Without quotes the line can be used in a command.
set "STRATA_LINE=%STRATA_LINE:"='%"
set "STRATA_LINE=%STRATA_LINE:&=+%"
set "STRATA_LINE=%STRATA_LINE:|=/%"
set "STRATA_LINE=%STRATA_LINE:<=(%"
set "STRATA_LINE=%STRATA_LINE:>=)%"
set "STRATA_LINE=%STRATA_LINE:^=_%"
set "STRATA_LINE=%STRATA_LINE:!=.%"
set "STRATA_ASCII=abcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:;?@[]_{}#$\"
rem The line starts with the name of the variable, as written by set.
set "STRATA_LINE=%STRATA_LINE:~12,200%"
:character
if not defined STRATA_LINE goto whole
set "STRATA_ONE=%STRATA_LINE:~0,1%"
set "STRATA_LINE=%STRATA_LINE:~1%"
rem These characters have a special meaning in the replacement below.
if "%STRATA_ONE%"=="=" goto keep
if "%STRATA_ONE%"=="~" goto keep
if "%STRATA_ONE%"=="*" goto keep
if "%STRATA_ONE%"=="%%" goto replace
call set "STRATA_REST=%%STRATA_ASCII:%STRATA_ONE%=%%"
if not "%STRATA_REST%"=="%STRATA_ASCII%" goto keep
:replace
set "STRATA_ONE=_"
:keep
set "STRATA_PLAIN=%STRATA_PLAIN%%STRATA_ONE%"
goto character
:whole
rem A backslash at the end would escape the closing quote of the argument.
if "%STRATA_PLAIN:~-1%"=="\" set "STRATA_PLAIN=%STRATA_PLAIN%."
exit /b 0

rem :line RESULT - run-scripts.cmd calls itself with line: write STRATA_LINE= and the last line of the log that is not empty to a file.
:line
set "STRATA_LINE="
for /f "usebackq delims=" %%l in ("%~2.log") do set "STRATA_LINE=%%l"
if defined STRATA_LINE >"%~2.line" set STRATA_LINE
exit /b 0

rem :set KEY VALUE - report a value to vSphere, if VMware Tools are installed.
:set
if exist "%STRATA_VMTOOLS%" "%STRATA_VMTOOLS%" --cmd "info-set guestinfo.strata.layering.scripts.%~1 %~2" >nul 2>&1 <nul
exit /b 0

rem :get VARIABLE KEY - read a guestinfo value of the VM; empty without VMware Tools.
:get
set "%~1="
if not exist "%STRATA_VMTOOLS%" exit /b 0
"%STRATA_VMTOOLS%" --cmd "info-get %~2" >"%STRATA_RESULTS%\guestinfo.txt" 2>nul <nul
if not errorlevel 1 set /p %~1=<"%STRATA_RESULTS%\guestinfo.txt"
del "%STRATA_RESULTS%\guestinfo.txt"
exit /b 0
