import DroverService
import Foundation
import Synchronization
import Testing

@testable import ProgramSupport

/// One `drover demo` for all tests of a suite, with a Prometheus that scrapes it and somebody who takes notes.
struct RunningDemo: Sendable {
  /// The demo of the suite that runs.
  @TaskLocal static var current: RunningDemo?

  let program: Program
  let directory: TemporaryDirectory
  let web: Web
  let control: Web
  let notes: DemoNotes

  /// Starts a demo and waits until it has said where it serves.
  init() async throws {
    let directory = try TemporaryDirectory()
    let socket = "\(directory.path)/control.sock"
    let program = try Program(
      ["demo", "--web.listen-address", "127.0.0.1:0", "--control.socket", socket], in: directory)
    let page = try await eventually("the address of the page") {
      try program.mustRun()
      return program.output.firstMatch(of: /\ page +(http:\/\/127\.0\.0\.1:[0-9]+)\/\n/).map { String($0.1) }
    }
    #expect(program.output.contains("metrics  \(page)/metrics\n"))
    #expect(program.output.contains("socket   unix://\(socket) "))
    self.program = program
    self.directory = directory
    web = try Web(page)
    control = try Web("unix://\(socket)")
    notes = DemoNotes()
  }

  static func require() throws -> RunningDemo { try #require(current) }

  /// Its QEMUs; their sockets lie in the demo's directory.
  var qemus: Set<pid_t> { Processes.with(argument: "\(directory.path)/drover-rig-") }

  /// The item of a running migration, as soon as there is one.
  func running(_ vm: String) async throws -> MigrationItem {
    try await eventually("a migration of \(vm)", within: .seconds(90)) {
      try await web.migrations().last { $0.vm == vm && $0.ending == nil }
    }
  }
}

/// What was seen of the demo's migrations so far.
final class DemoNotes: Sendable {
  private let seen = Mutex<[MigrationItem]>([])

  func take(_ items: [MigrationItem]) { seen.withLock { $0 += items } }

  /// Every look at the migrations of a VM.
  func of(_ vm: String) -> [MigrationItem] { seen.withLock { $0.filter { $0.vm == vm } } }
}

/// Runs a suite beside one demo.
struct BesideADemo: SuiteTrait, TestScoping {
  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    let demo = try await RunningDemo()
    try await RunningDemo.$current.withValue(demo) {
      try await withThrowingTaskGroup { group in
        group.addTask {
          while !Task.isCancelled {
            if let items = try? await demo.web.migrations() { demo.notes.take(items) }
            try await Task.sleep(for: .milliseconds(250))
          }
        }
        defer { group.cancelAll() }
        try await function()
      }
    }
    demo.program.signal(SIGTERM)
    #expect(try await demo.program.end() == .exited(0))
  }
}

extension Trait where Self == BesideADemo {
  static var besideADemo: Self { Self() }
}
