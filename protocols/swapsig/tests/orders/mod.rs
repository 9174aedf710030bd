//! The orders that a settlement's outputs can have.

/// Every order: for each output, whose it is by the place of its input; one cycle through all.
pub(crate) fn orders(count: usize) -> Vec<Vec<usize>> {
    fn walk(path: &mut Vec<usize>, count: usize, found: &mut Vec<Vec<usize>>) {
        if path.len() == count {
            let mut order = vec![0; count];
            (0..count).for_each(|step| order[path[step]] = path[(step + 1) % count]);
            return found.push(order);
        }
        for next in 1..count {
            if !path.contains(&next) {
                path.push(next);
                walk(path, count, found);
                path.pop();
            }
        }
    }
    let mut found = Vec::new();
    walk(&mut vec![0], count, &mut found);
    found
}
