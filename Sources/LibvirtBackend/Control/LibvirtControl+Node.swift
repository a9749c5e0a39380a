internal import DroverCore

/// The host as a whole: what runs on it, and where that could go.
extension LibvirtControl {
  func node(_ name: String) async throws(ControlError) -> NodeReading {
    let call = "reading host \(name)"
    let told = try await ask("", call: call) {
      [connections, configuration] progress throws(ControlError) in
      do throws(LibvirtError) {
        return try connections.with { connection throws(LibvirtError) in
          _ = progress.enter(.asking, within: configuration.surveyDeadline)
          return try connection.inhabitants()
        }
      } catch {
        throw ControlError(error)
      }
    }
    let host = configuration.host.isEmpty ? told.host : configuration.host
    guard name == host else {
      throw ControlError(
        .gone, call: call, cause: "back end \(configuration.name.rawValue) is host \(host)",
        remedy: "drover nodes shows them")
    }
    let guests = told.guests.compactMap { guest -> NodeReading.Guest? in
      guard let domain = DomainKey(uuid: guest.name.uuid) else { return nil }
      let vm = VMRef(backend: configuration.name, scope: .host(host), name: guest.name.name)
      return NodeReading.Guest(vm: vm, domain: domain, memory: guest.memory)
    }
    return NodeReading(node: host, guests: guests.sorted { $0.vm.name < $1.vm.name })
  }

  /// Domains that are looked at at a time.
  private static let surveys = 4

  func preflight(_ wanted: String?) async throws(ControlError) -> Preflight {
    let name: String
    if let wanted { name = wanted } else { name = try await hostName() }
    let reading = try await node(name)
    let (host, guests) = (reading.node, reading.guests)
    let surveys = await withTaskGroup(of: (Int, Result<MoveChoices, ControlError>).self) { group in
      var answers: [Int: Result<MoveChoices, ControlError>] = [:]
      for (number, guest) in guests.enumerated() {
        if number >= Self.surveys, let (done, answer) = await group.next() { answers[done] = answer }
        group.addTask { [self] in
          let answer: Result<MoveChoices, ControlError>
          do throws(ControlError) {
            answer = .success(try await survey(guest.vm).choices)
          } catch {
            answer = .failure(error)
          }
          return (number, answer)
        }
      }
      for await (done, answer) in group { answers[done] = answer }
      return guests.indices.map { answers[$0] }
    }
    return HostPreflight(host: host, guests: Array(zip(guests, surveys))).preflight
  }

  private func hostName() async throws(ControlError) -> String {
    guard configuration.host.isEmpty else { return configuration.host }
    return try await ask("", call: "virConnectGetHostname") {
      [connections, configuration] progress throws(ControlError) in
      do throws(LibvirtError) {
        return try connections.with { connection throws(LibvirtError) in
          _ = progress.enter(.asking, within: configuration.surveyDeadline)
          return try connection.facts().hostName
        }
      } catch {
        throw ControlError(error)
      }
    }
  }
}

/// What was found out of each guest, as an answer.
struct HostPreflight {
  var host: String
  var guests: [(guest: NodeReading.Guest, choices: Result<MoveChoices, ControlError>?)]

  var preflight: Preflight {
    var answer = Preflight()
    var reserved: [String: MoveChoices.Reserved] = [:]
    var withoutRoom: [VMRef] = []
    var (unread, silent): (Int, Set<String>) = (0, [])
    let isAlone = guests.contains { (try? $0.choices?.get())?.targets.isEmpty ?? false }
    // The biggest first, as a drain goes.
    for (guest, choices) in guests.sorted(by: { ($0.guest.memory ?? 0) > ($1.guest.memory ?? 0) }) {
      var vm = Preflight.VM(vm: guest.vm, node: host, outcome: .migrates)
      switch choices {
      case .success(let choices)?:
        let unknown = choices.targets.filter {
          $0.free == nil && $0.obstacles.allSatisfy { $0.reason == .unknown }
        }
        switch choices.choice(reserved: reserved) {
        case .target(let target):
          vm.causes = choices.doubts(about: target)
          for peer in unknown {
            silent.formUnion(
              peer.obstacles.isEmpty
                ? ["\(peer.node) does not tell how much memory it has free"] : peer.obstacles.map(\.text))
          }
          reserved[target.host, default: MoveChoices.Reserved()].memory =
            (reserved[target.host]?.memory ?? 0) + (choices.memory ?? guest.memory ?? 0)
          reserved[target.host, default: MoveChoices.Reserved()].guests += 1
        case .blocked:
          vm.outcome = .blocks
          vm.causes = choices.obstacles
          if choices.targets.isEmpty {
            vm.causes.append(
              Eligibility.Obstacle(
                .noTargetNode, "no host is named that it could go to", remedy: "name them in libvirt.peers"))
          }
        case .noRoom:
          // Alone it may find room; a host that cannot take it at all is another thing.
          if case .target = choices.choice(reserved: [:]) {
            withoutRoom.append(guest.vm)
          } else {
            vm.outcome = .blocks
            vm.causes = choices.targets.flatMap(\.obstacles)
          }
        }
      case .failure(let error)?:
        vm.outcome = .blocks
        vm.causes = [
          Eligibility.Obstacle(
            .unknown, "what speaks against it cannot be read: \(error.cause)", remedy: error.remedy)
        ]
        unread += 1
        answer.notes.append("\(guest.vm.name) cannot be read: \(error)")
      case nil: continue
      }
      answer.vms.append(vm)
    }
    answer.vms.sort { $0.vm.name < $1.vm.name }
    if !guests.isEmpty {
      answer.nodes = [
        room(isAlone ? guests.map(\.guest.vm) : withoutRoom, isAlone: isAlone, unread: unread, silent)
      ]
    }
    return answer
  }

  private func room(_ withoutRoom: [VMRef], isAlone: Bool, unread: Int, _ silent: Set<String>)
    -> Preflight.Node
  {
    var node = Preflight.Node(node: host, guests: UInt64(guests.count), withoutRoom: withoutRoom)
    if isAlone {
      node.text = "no other host is named that could take them; name them in libvirt.peers"
    } else if !withoutRoom.isEmpty {
      node.text = "memory is short at the peers for \(withoutRoom.count) of \(guests.count) guests"
    } else if unread > 0 || !silent.isEmpty {
      node.withoutRoom = nil
      let needs = unread > 0 ? ["what \(unread) of \(guests.count) guests need is not known"] : []
      node.text = (needs + silent.sorted()).joined(separator: "; ")
    }
    return node
  }
}

extension MoveSurvey {
  /// Where the domain can go, as whoever chooses is told it.
  var choices: MoveChoices {
    MoveChoices(
      obstacles: domain.obstacles,
      targets: targets.map { target in
        let facts = try? target.facts.get()
        return MoveChoices.Target(
          node: target.peer.name, host: facts?.host ?? target.peer.name, free: facts?.memory,
          obstacles: obstacles(at: target))
      }, memory: domain.xml.memory)
  }
}

extension HostConnection {
  /// The host's name, and what runs on it with the memory that it has.
  fileprivate func inhabitants() throws(LibvirtError) -> (
    host: String, guests: [(name: DomainName, memory: Bytes?)]
  ) {
    let host = try facts().hostName
    var guests: [(name: DomainName, memory: Bytes?)] = []
    for domain in try runningDomains() {
      do throws(LibvirtError) {
        guests.append((domain.name, try memory(of: domain.name.uuid)))
      } catch {
        if error.isConnectionLost { throw error }
        guests.append((domain.name, nil))
      }
    }
    return (host, guests)
  }
}
