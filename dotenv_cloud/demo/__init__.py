"""The demo: the history of two organizations over ninety days, played in a few seconds.

`stage` sets who acts, from where and when; `acme` and `northwind` are the stories; `everyday` fills
the days between. They call the functions that views and API call.
"""
