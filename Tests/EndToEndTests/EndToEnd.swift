import Testing

/// The built executable, as its users meet it: started as a process, asked from outside.
///
/// One after the other, since each measures a process of its own.
@Suite("End to end", .serialized)
enum EndToEnd {}
