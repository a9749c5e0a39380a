import DroverCore
import Glibc
import Journal

// loop PATH           records without end, and tells each thing once it is recorded
// probe PATH          tells how the journal opens, what is in it, and whether it records
// probe-nobody PATH   the same without root's rights
// claims PATH COUNT ABORTS   ends migrations by policy, and tells each abort as it is sent
// fill PATH BALLAST   records until the disk is full, then deletes the ballast and goes on

func say(_ text: String) {
  let bytes = Array("\(text)\n".utf8)
  _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
}

func decision(_ number: Int) -> Decision {
  var decision = Decision(
    madeAt: Int64(number), action: .abort, trigger: .person, kind: .acted, requester: "uid \(number)",
    text: "decision \(number)")
  decision.evidence = [
    Decision.Fact("number", "\(number)"),
    Decision.Fact("ballast", String(repeating: "x", count: number % 3000)),
  ]
  return decision
}

func migration(_ name: String, _ number: Int) -> PastMigration? {
  guard let id = MigrationID("\(name)-\(number)") else { return nil }
  let vm = VMRef(backend: BackendName(rawValue: "b"), scope: .host("h"), name: "\(name)")
  var migration = PastMigration(id: id, vm: vm, domain: "d", startedAt: Int64(number))
  migration.text = String(repeating: name, count: number % 2000)
  return migration
}

func loop(_ path: String) async throws {
  let journal = try Journal.open(path: path)
  let first = try await journal.decisions(limit: 1).first?.id?.rawValue ?? 0
  say("opened")
  for number in (Int(first) + 1)... {
    let id = try await journal.record(decision(number))
    say("decided \(number) \(id.rawValue)")
    if number % 3 == 0 {
      try await journal.finish(id, .aborted, text: "result \(number)", at: Int64(number))
      say("finished \(number) \(id.rawValue)")
    }
    try await journal.upsert([migration("a", number), migration("b", number)].compactMap(\.self))
    say("moved \(number) 0")
    if number % 50 == 0 { _ = try await journal.prune(olderThan: 0, largest: .gibibytes(1)) }
  }
}

func probe(_ path: String) async {
  do throws(JournalError) {
    let journal = try Journal.open(path: path)
    say(journal.refusal.map { "refuses \($0.kind.rawValue)" } ?? "opened")
    say("holds \(try await journal.decisions(limit: 1000).count)")
    say("records \(try await journal.record(decision(1)).rawValue)")
  } catch {
    say("fails \(error.kind.rawValue): \(error)")
  }
}

func fill(_ path: String, ballast: String) async throws {
  let journal = try Journal.open(path: path)
  var count = 0
  do throws(JournalError) {
    while count < 100_000 {
      _ = try await journal.record(decision(2999))
      count += 1
    }
  } catch {
    say("fails \(error.kind.rawValue): \(error)")
  }
  let kept = try await journal.decisions(limit: 1000).count
  say("keeps \(kept == min(count, 1000))")
  say("damaged \((try? Journal.open(path: path)) != nil)")
  unlink(ballast)
  say("records \(try await journal.record(decision(1)).rawValue == Int64(count) + 1)")
}

let arguments = CommandLine.arguments.dropFirst()
switch (arguments.first, arguments.dropFirst().first, arguments.dropFirst(2).first) {
case ("claims", let path?, let count?):
  try await claims(path, count: Int(count) ?? 0, aborts: arguments.last.flatMap { Int($0) } ?? 0)
case ("loop", let path?, _): try await loop(path)
case ("probe", let path?, _): await probe(path)
case ("probe-nobody", let path?, _):
  if geteuid() == 0, setgroups(0, nil) != 0 || setgid(65534) != 0 || setuid(65534) != 0 { exit(3) }
  await probe(path)
case ("fill", let path?, let ballast?): try await fill(path, ballast: ballast)
default: exit(64)
}
