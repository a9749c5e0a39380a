internal import DroverCore

/// Keys by the moment that something is due for them: a binary heap.
struct DeadlineQueue {
  private var heap: [(due: Moment, key: UInt64)] = []

  var first: Moment? { heap.first?.due }

  mutating func insert(_ key: UInt64, at due: Moment) {
    heap.append((due, key))
    var child = heap.count - 1
    while child > 0, heap[child].due < heap[(child - 1) / 2].due {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes the earliest entry, where it is due.
  mutating func take(at now: Moment) -> (due: Moment, key: UInt64)? {
    guard let first = heap.first, first.due <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].due < heap[least].due {
        least = child
      }
      guard least != parent else { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
