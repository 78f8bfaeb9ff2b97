"""What people look at: forecasts, charts and pages, made from spend tables. Nothing here asks the API."""
