import CLinux
import Foundation
import Glibc

@main
struct DroverBench {
  static let usage = """
    usage: drover-bench [--json] [NAME...]
           drover-bench --list

    Measures Drover on this machine. Without names all but `libvirt` and `kube` are measured; each has a process of its own.
    Exits with 1 when a goal is missed. It needs a release build of `drover` beside it, which `make bench` makes.
    """

  static func main() async {
    var arguments = Array(CommandLine.arguments.dropFirst())
    raiseDescriptorLimit()
    switch arguments.first {
    case "--help", "-h": print(usage)
    case "--list": for benchmark in Benchmark.all { print("\(benchmark.name)\t\(benchmark.summary)") }
    case "--alone" where arguments.count == 2: await measure(arguments[1])
    case "--fake-qemus" where arguments.count == 3: serveFakes(in: arguments[1], Int(arguments[2]) ?? 0)
    default:
      let json = arguments.contains("--json")
      arguments.removeAll { $0 == "--json" }
      guard let wanted = benchmarks(named: arguments) else { exit(2) }
      exit(report(wanted, json: json) ? 0 : 1)
    }
  }

  private static func benchmarks(named names: [String]) -> [Benchmark]? {
    if names.isEmpty { return Benchmark.usual }
    if let name = names.first(where: { name in !Benchmark.all.contains { $0.name == name } }) {
      let known = Benchmark.all.map { $0.name }.joined(separator: ", ")
      complain("no benchmark is called \(name); there are \(known)\n\n\(usage)")
      return nil
    }
    return Benchmark.all.filter { names.contains($0.name) }
  }

  /// Runs each benchmark in a process of its own, so that no heap tells of another's.
  private static func report(_ benchmarks: [Benchmark], json: Bool) -> Bool {
    var report = Report()
    for benchmark in benchmarks {
      var section = Report.Section(benchmark: benchmark.name, figures: [])
      do {
        let output = try Child([ownPath, "--alone", benchmark.name]).rest()
        section.figures = try JSONDecoder().decode([Figure].self, from: output)
      } catch {
        section.failure = "\(error)"
      }
      report.sections.append(section)
      if !json { print(section.table + "\n") }
      fflush(nil)
    }
    if json, let text = try? report.json() { print(text) }
    return !report.isMissed
  }

  private static func measure(_ name: String) async {
    _ = drover_set_parent_death_signal(SIGTERM)
    guard let benchmark = Benchmark.all.first(where: { $0.name == name }) else { exit(2) }
    do {
      let figures = try JSONEncoder().encode(try await benchmark.run())
      try FileHandle.standardOutput.write(contentsOf: figures)
    } catch {
      complain("\(name): \(error)")
      exit(1)
    }
  }

  private static func serveFakes(in directory: String, _ count: Int) {
    _ = drover_set_parent_death_signal(SIGTERM)
    do {
      try FakeQEMUs(in: directory, count: count).serve()
    } catch {
      complain("fake QEMUs: \(error)")
      exit(1)
    }
  }

  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    let resource = Int32(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(resource, &limit)
  }

  private static func complain(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data("drover-bench: \(text)\n".utf8))
  }
}
