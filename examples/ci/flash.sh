#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts an image onto the card of a board at an SD mux. Arguments: the .img file, the board's name. PROTOPI is the folder
# of Protopi. The board file has the mux's commands (sd_mux) and the card's serial (card), so nothing is asked.
set -eu
"$PROTOPI/build.py" flash "$1" --board "$2"
