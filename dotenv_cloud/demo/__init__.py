"""The demo: two organizations that live through ninety days in a few seconds.

`stage` says who acts, from where and when; `acme` and `northwind` tell what happened; `everyday`
fills the days between. All of it drives the functions that views and API drive.
"""
