title = "Shop (staging)"
