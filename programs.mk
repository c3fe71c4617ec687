# The sources of each program in build/bin, and the libraries that only it needs (libs_NAME).
