import Testing

@testable import MicroHTTP

@Suite("Deadlines of connections")
struct ConnectionTableTests {
  private let start = ContinuousClock.now

  private func table(request: Int = 15, response: Int = 60) -> ConnectionTable {
    ConnectionTable(requestTimeout: .seconds(request), responseTimeout: .seconds(response))
  }

  private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

  @Test("a request has its time from the connection on, and expires once")
  func request() {
    var table = table()
    table.opened(1, socket: 7, at: at(0))
    #expect(table.quiet(at: at(5)) == .seconds(10))
    #expect(table.takeExpired(at: at(14.9)).isEmpty)
    #expect(table.takeExpired(at: at(15)) == [7])
    #expect(table.takeExpired(at: at(16)).isEmpty)
  }

  @Test("a handler has all the time it needs, the response its own, and then the next request")
  func phases() {
    var table = table()
    table.opened(1, socket: 7, at: at(0))
    table.handling(1)
    #expect(table.active == 1)
    #expect(table.takeExpired(at: at(1000)).isEmpty)
    table.sending(1, at: at(1000))
    #expect(table.active == 1)
    #expect(table.takeExpired(at: at(1059)).isEmpty)
    table.completed(1, at: at(1059))
    #expect(table.active == 0)
    #expect(table.takeExpired(at: at(1073)).isEmpty)
    #expect(table.takeExpired(at: at(1074)) == [7])
  }

  @Test("a closed connection is forgotten, in whatever phase, and its socket never touched again")
  func closed() {
    var table = table()
    table.opened(1, socket: 7, at: at(0))
    table.sending(1, at: at(1))
    table.closed(1)
    #expect(table.active == 0)
    #expect(table.count == 0)
    table.opened(2, socket: 7, at: at(10))
    #expect(table.takeExpired(at: at(20)).isEmpty)
    table.completed(1, at: at(21))
    #expect(table.active == 0)
  }

  @Test("it is quiet for the shortest limit when nothing is open, for ever without limits")
  func quiet() {
    #expect(table().quiet(at: at(0)) == .seconds(15))
    #expect(table(request: 0).quiet(at: at(0)) == .seconds(60))
    #expect(table(request: 0, response: 0).quiet(at: at(0)) == nil)
    var table = table(request: 0, response: 60)
    table.opened(1, socket: 7, at: at(0))
    #expect(table.takeExpired(at: at(100_000)).isEmpty)
    table.sending(1, at: at(0))
    #expect(table.quiet(at: at(70)) == .zero)
  }
}
