module pausebin

go 1.26.0
