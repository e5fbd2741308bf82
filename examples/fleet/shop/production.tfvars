title = "Shop"
