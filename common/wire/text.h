/* Text in spans: words, blanks around them. Blank are space, tab, CR and LF. */
#ifndef WIRE_TEXT_H
#define WIRE_TEXT_H

#include <nacre/wire.h>

/* Takes the next word off *text: what stands before a blank. Empty at the end. */
struct nacre_span text_next_word(struct nacre_span *text);
struct nacre_span text_trim(struct nacre_span text);

#endif
