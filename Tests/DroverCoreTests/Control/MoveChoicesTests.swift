import DroverCore
import Testing

@Suite("Where a guest is sent")
struct MoveChoicesTests {
  private typealias Target = MoveChoices.Target
  private typealias Obstacle = Eligibility.Obstacle

  private func choose(
    _ targets: [MoveChoices.Target], memory: UInt64? = 100, obstacles: [Eligibility.Obstacle] = [],
    reserved: [String: MoveChoices.Reserved] = [:]
  ) -> String {
    let choices = MoveChoices(
      obstacles: obstacles, targets: targets, memory: memory.map { .mebibytes($0) })
    return switch choices.choice(reserved: reserved) {
    case .target(let target): target.node
    case .blocked(let refusals): "blocked \(refusals.map(\.reason.rawValue).joined(separator: " "))"
    case .noRoom(let refusals): "no room \(refusals.map(\.reason.rawValue).joined(separator: " "))"
    }
  }

  private func target(_ name: String, _ free: UInt64?, _ obstacles: [Eligibility.Obstacle] = [])
    -> MoveChoices.Target
  {
    MoveChoices.Target(
      node: name, host: "host-\(name)", free: free.map { .mebibytes($0) }, obstacles: obstacles)
  }

  private func reserved(_ name: String, _ memory: UInt64, _ guests: Int = 1) -> [String: MoveChoices.Reserved]
  {
    ["host-\(name)": MoveChoices.Reserved(memory: .mebibytes(memory), guests: guests)]
  }

  @Test("to the host with the most memory left once what is under way has arrived")
  func most() {
    #expect(choose([target("b", 500), target("c", 900)]) == "c")
    #expect(choose([target("b", 500), target("c", 900)], reserved: reserved("c", 450)) == "b")
  }

  @Test("those that do not tell come last; among equals to where the fewest go, then to the first")
  func unknown() {
    #expect(choose([target("b", nil), target("c", 101)]) == "c")
    #expect(choose([target("b", nil), target("c", nil)]) == "b")
    #expect(choose([target("b", nil), target("c", nil)], reserved: reserved("b", 0)) == "c")
    #expect(choose([target("b", 500), target("c", 500)]) == "b")
  }

  @Test("never where it does not fit, by what is free or by what is under way")
  func room() {
    #expect(choose([target("b", 99)]) == "no room target_unfit")
    #expect(choose([target("b", 150)], reserved: reserved("b", 51)) == "no room target_unfit")
    #expect(choose([target("b", 150)], memory: nil, reserved: reserved("b", 51)) == "b")
  }

  @Test("never where something speaks against it that is known; what is not known, or not enforced, does not")
  func obstacles() {
    let network = Obstacle(.networkInterface, "x", remedy: "y")
    let unknown = Obstacle(.unknown, "x", remedy: "y")
    let soft = Obstacle(.cdrom, "x", remedy: "y", isEnforced: false)
    #expect(choose([target("b", 900, [network]), target("c", 200, [unknown, soft])]) == "c")
    #expect(choose([target("b", 900, [network])]) == "no room target_unfit")
    #expect(
      choose([target("b", 900)], obstacles: [Obstacle(.hostDevice, "x", remedy: "y")])
        == "blocked not_migratable")
    #expect(choose([target("b", 900)], obstacles: [unknown, soft]) == "b")
    #expect(choose([]) == "blocked no_target")
  }
}
