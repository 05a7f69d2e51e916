"""Running a profile's steps, planning and recording them, and publishing the book.

`steps` says what there is to run. Imports `results`, `tasks` and what lies below them; never
`figures`, `claims` or `simulation`.
"""
