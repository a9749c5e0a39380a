import Testing

@testable import DroverCore

@Suite("Migration store")
struct MigrationStoreTests {
  private func id(_ n: Int) -> MigrationID { MigrationID(domain: domain(n), startedUnixMilliseconds: 0) }

  private func view(_ n: Int) -> MigrationView {
    MigrationView(first: observation(id: id(n), vm: vmRef("vm\(n)")))
  }

  private let watch = MigrationWatch(samplingInterval: .milliseconds(500), isCountedAsStarted: false)

  @Test("A group's revision changes exactly when one of its views does")
  func revisions() {
    var store = MigrationStore()
    store.insert(view(1), watch)
    let revision = store.groups[0].revision
    store.update(id(1)) { _, watch in watch.endSeenAt = ms(1) }
    store.update(id(1)) { view, _ in view.sampledAt = ms(0) }
    store.update(id(2)) { view, _ in view.sampledAt = ms(9) }
    #expect(store.groups[0].revision == revision)
    store.update(id(1)) { view, _ in view.sampledAt = ms(9) }
    #expect(store.groups[0].revision > revision)
  }

  @Test("It holds what a dictionary holds, and no two contents share a revision")
  func model() {
    var random = SplitMix(state: 3)
    var store = MigrationStore()
    var model: [MigrationID: Int64] = [:]
    var seen: [UInt64: [MigrationView]] = [:]
    for step in 0..<6000 {
      let n = random.below(300)
      switch random.below(5) {
      case 0, 1:
        if model[id(n)] == nil { model[id(n)] = 0 }
        store.insert(view(n), watch)
      case 2, 3:
        let value = Int64(random.below(5))
        if model[id(n)] != nil { model[id(n)] = value }
        store.update(id(n)) { view, _ in view.sampledAt = ms(value) }
      default:
        model[id(n)] = nil
        store.removeAll { view, _ in view.identity.id == id(n) }
      }
      guard step % 20 == 0 else { continue }
      #expect(store.count == model.count)
      var found: [MigrationID: Int64] = [:]
      for group in store.groups {
        #expect(group.views.count <= MigrationGroup.capacity)
        for view in group.views { found[view.identity.id] = view.sampledAt.milliseconds }
        if let known = seen[group.revision] { #expect(known == group.views) }
        seen[group.revision] = group.views
      }
      #expect(found == model)
    }
  }

  @Test("A snapshot is not touched by what comes after it")
  func snapshot() {
    var store = MigrationStore()
    for n in 0..<100 { store.insert(view(n), watch) }
    let groups = store.groups
    store.update(where: { _, _ in true }) { view, _ in view.sampledAt = ms(99) }
    store.removeAll { _, _ in true }
    #expect(groups.flatMap(\.views).count == 100)
    #expect(groups.allSatisfy { $0.views.allSatisfy { $0.sampledAt == ms(0) } })
    #expect(store.count == 0)
  }

  @Test("The one that ended first gives way, one whose guest is in danger last")
  func oldestEnded() {
    var store = MigrationStore()
    for n in 0..<4 { store.insert(view(n), watch) }
    var isRemoved = store.removeOldestEnded()
    #expect(!isRemoved)
    for (n, at) in [(1, 5), (2, 3), (3, 1)] as [(Int, Int64)] {
      store.update(id(n)) { view, watch in
        watch.endSeenAt = ms(at)
        if n == 3 { view.guest = .both }
      }
    }
    for gone in [2, 1, 3] {
      #expect(store.owner(of: id(gone)) == home)
      isRemoved = store.removeOldestEnded()
      #expect(isRemoved)
      #expect(store.owner(of: id(gone)) == nil)
    }
    isRemoved = store.removeOldestEnded()
    #expect(!isRemoved && store.count == 1)
  }
}

@Suite("Migrations that are not tracked")
struct DroppedMigrationsTests {
  private func id(_ n: Int) -> MigrationID { MigrationID(domain: domain(n), startedUnixMilliseconds: 0) }

  @Test("First sight, start and end are each news once")
  func once() {
    var dropped = DroppedMigrations()
    var news = dropped.note(id(1), of: home, hasStarted: false, isOver: false)
    #expect(news.isFirst && !news.hasStarted && !news.hasEnded)
    news = dropped.note(id(1), of: home, hasStarted: true, isOver: false)
    #expect(!news.isFirst && news.hasStarted && !news.hasEnded)
    for isNews in [true, false] {
      news = dropped.note(id(1), of: home, hasStarted: true, isOver: true)
      #expect(!news.isFirst && !news.hasStarted && news.hasEnded == isNews)
    }
    #expect(dropped.count == 1 && dropped.isOver(id(1)))
  }

  @Test("Its memory is bounded, and what it forgets is never counted over and over")
  func bounded() {
    var dropped = DroppedMigrations()
    for n in 0..<20_100 { _ = dropped.note(id(n), of: home, hasStarted: true, isOver: false) }
    for _ in 0..<3 { _ = dropped.note(id(20_050), of: home, hasStarted: true, isOver: false) }
    #expect(dropped.count == 20_000)
    for n in 0..<20_000 { _ = dropped.note(id(n), of: home, hasStarted: true, isOver: true) }
    let news = dropped.note(id(20_050), of: home, hasStarted: true, isOver: false)
    #expect(news.isFirst)
    dropped.remove(home)
    let adopted = dropped.adopt(id(20_050))
    #expect(adopted == nil)
  }
}
