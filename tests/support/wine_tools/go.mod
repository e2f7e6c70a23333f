module strata.layering/tests/support/wine_tools

go 1.21
