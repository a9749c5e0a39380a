import DroverCore
import Testing

@testable import DroverService
@testable import MigrationControl

@Suite("What a question about a drain shows")
struct DrainTablesTests {
  @Test("what may stay for something that is not known is counted apart, with what that is")
  func doubtful() {
    func vm(_ name: String) -> VMRef {
      VMRef(backend: BackendName(rawValue: "lab"), scope: .host("a"), name: name)
    }
    let decision = Decision(
      madeAt: 0, action: .drain, trigger: .person, kind: .acted, requester: "uid 0", text: "")
    var answer = DrainAnswer(decision: decision, isDryRun: true)
    answer.forecast = [
      .init(vm: vm("sure"), target: "b", refusals: []),
      .init(
        vm: vm("open"), target: "c", refusals: [],
        doubts: ["c cannot be asked; let Drover reach it"]),
      .init(vm: vm("stuck"), refusals: [Refusal(.notMigratable, "its disk is here only")]),
    ]
    let item = DrainItem(answer, of: NodeRef(backend: BackendName(rawValue: "lab"), node: "a"))
    #expect(item.vms.map(\.isDoubtful) == [false, true, false])
    let shown = DrainTables(TerminalStyle()).show(item)
    #expect(shown.contains("2 of 3 VMs would be moved, of which 1 not for certain"), "\(shown)")
    #expect(
      shown.contains("may move") && shown.contains("c cannot be asked; let Drover reach it"), "\(shown)")
  }
}
