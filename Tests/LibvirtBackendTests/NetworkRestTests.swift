import DroverCore
import Testing

@testable import LibvirtBackend

@Suite struct NetworkRestTests {
  private func at(_ second: Double) -> Moment { Moment(milliseconds: Int64(second * 1000)) }

  @Test("a host rests after a look, until a connection is opened, a minute is over, or something begins")
  func rest() {
    var rest = NetworkRest()
    #expect(!rest.holds(opened: 7, at: at(0)))
    rest.begin(opened: 7, at: at(0))
    #expect(rest.holds(opened: 7, at: at(59.9)))
    #expect(!rest.holds(opened: 8, at: at(1)))
    #expect(!rest.holds(opened: 7, at: at(60)))
    rest.end()
    #expect(!rest.holds(opened: 7, at: at(1)))
  }

  @Test("where the kernel does not count what is opened, there is no rest")
  func unknown() {
    var rest = NetworkRest()
    rest.begin(opened: nil, at: at(0))
    #expect(!rest.holds(opened: nil, at: at(1)))
    #expect(!rest.holds(opened: 7, at: at(1)))
    rest.begin(opened: 7, at: at(1))
    #expect(!rest.holds(opened: nil, at: at(2)))
  }
}
