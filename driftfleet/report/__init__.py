"""Records -> the dashboard's static pages. Pure: no store, clock or setting is read here."""
