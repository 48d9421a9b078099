"""The map of the house: pages, and the code that draws and lists what they hold."""
