#pragma once

/// The commit that this build was made from; empty where the build was not told.
const char *drover_revision(void);
