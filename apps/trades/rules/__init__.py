"""Pure rules of trades: values in, values out. Nothing here knows the database."""
