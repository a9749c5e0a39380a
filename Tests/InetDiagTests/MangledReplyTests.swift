import Testing

@testable import InetDiag

@Suite("Answers that nobody sends")
struct MangledReplyTests {
  @Test("no mangled answer does more than fail", arguments: 0..<8 as Range<UInt64>)
  func mangled(seed: UInt64) {
    var dice = Dice(state: seed)
    var outcomes: Set<Bool> = []
    for _ in 0..<1000 {
      var bytes = [Recorded.v4, Recorded.v6, Recorded.done].randomElement(using: &dice) ?? []
      for _ in 0..<Int.random(in: 1...8, using: &dice) { bytes.mangle(with: &dice) }
      do {
        let connections = try read(bytes).connections
        #expect(connections.count <= bytes.count / 88)
        outcomes.insert(true)
      } catch {
        outcomes.insert(false)
      }
    }
    #expect(outcomes.count == 2)
  }
}

extension [UInt8] {
  fileprivate mutating func mangle(with dice: inout Dice) {
    guard let index = indices.randomElement(using: &dice) else {
      return append(.random(in: 0...255, using: &dice))
    }
    switch Int.random(in: 0..<6, using: &dice) {
    case 0: self[index] ^= 1 << UInt8.random(in: 0..<8, using: &dice)
    case 1: self[index] = [0, 1, 3, 4, 0x7F, 0x80, 0xFF].randomElement(using: &dice) ?? 0
    case 2: removeLast(Int.random(in: 0...count, using: &dice))
    case 3: insert(.random(in: 0...255, using: &dice), at: index)
    case 4: remove(at: index)
    default: append(contentsOf: self[index...])
    }
  }
}

/// Chance that can be repeated (SplitMix64).
private struct Dice: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
