#include "revision.h"

const char *drover_revision(void) { return DROVER_REVISION; }
