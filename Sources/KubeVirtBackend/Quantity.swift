internal import DroverCore
