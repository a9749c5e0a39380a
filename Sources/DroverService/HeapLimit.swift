internal import CLinux

/// How the heap gives memory back.
public enum HeapLimit {
  /// Has blocks of 256 KiB and more, such as parts of a list of ten thousand objects, given back when they are freed.
  ///
  /// Left to itself, glibc takes them from the heap after the first few, where what is kept of each object then stands
  /// between them and holds all of it: a quarter of what such a process has resident.
  public static func set() { drover_limit_heap(256 << 10) }
}
